"""V as a linear function of K: most of it by way of K, and what K says badly by a few numbers of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from engine.models.weights import Linear

SHIFT = 1e-13  # times |W_k| / sqrt(hidden_size) is added to its diagonal, so that a singular one can be inverted too
NUM_ITERATIONS = 5


@dataclass(frozen=True, eq=False)
class ValuesFromKeys:
    """In one layer, v = through (k - b_k) + kept s + constant, where s = kept^T v is stored beside k.

    Attributes
    ----------
    through : float64 tensor, [hidden_size, hidden_size]
    kept : float64 tensor, [hidden_size, num_kept]
        Orthonormal columns: the directions of V in which rounding of K would be amplified most.
    constant : float64 tensor, [hidden_size]
    amplification : float
        How many times larger the error of V is than that of K, each over its size; 1 where V is K turned, and inf where
        the weights are no finite numbers, or all zeros.
    """

    through: torch.Tensor
    kept: torch.Tensor
    constant: torch.Tensor
    amplification: float


def values_from_keys(key: Linear, value: Linear, num_kept: int) -> ValuesFromKeys:
    """The function for a layer's projections, whose matrices are square, with `num_kept` numbers of V kept.

    As x = W_k^-1 (k - b_k), V follows from K by W_v W_k^-1 (Slim Attention, arXiv 2503.05840). This matrix amplifies
    the rounding of K by its singular values, which are large where those of W_k are small; a few are very large, in
    trained models as in random ones. So the coordinates of V along the left singular vectors of the largest are stored,
    and only the rest goes through K. With no other directions, as many, has `through` a smaller norm (Eckart and Young,
    1936). The amplification, with the norms of Frobenius,

        |through| |W_k| / (|W_v| sqrt(hidden_size)),

    is exact in the mean square where inputs, and errors of K, are independent of each other and of equal size.
    """
    w_k, w_v = key.weight.double(), value.weight.double()
    if not all(each.isfinite().all() and each.any() for each in (w_k, w_v)):
        return ValuesFromKeys(w_v, w_v, w_v, math.inf)
    root = math.sqrt(len(w_k))
    unit = torch.eye(len(w_k), dtype=w_k.dtype, device=w_k.device)
    factors = torch.linalg.lu_factor(w_k + SHIFT * w_k.norm() / root * unit)
    kept = largest_directions(torch.linalg.lu_solve(*factors, w_v, left=False), num_kept)
    through = torch.linalg.lu_solve(*factors, w_v - kept @ (kept.T @ w_v), left=False)
    bias = w_v.new_zeros(len(w_v)) if value.bias is None else value.bias.double()
    amplification = through.norm() * w_k.norm() / (w_v.norm() * root)
    return ValuesFromKeys(through, kept, bias - kept @ (kept.T @ bias), float(amplification))


def largest_directions(matrix: torch.Tensor, count: int) -> torch.Tensor:
    """About the left singular vectors of the largest singular values of a square matrix, [n, count], orthonormal.

    By subspace iteration (Halko, Martinsson and Tropp, 2011, section 4.5), which takes a small part of the time of a
    decomposition. It begins with cosines, as no matrix of a model is likely to be orthogonal to them.
    """
    at = torch.arange(len(matrix), dtype=matrix.dtype, device=matrix.device)
    found = torch.cos(math.pi / len(matrix) * (at[:, None] + 0.5) * (at[:count] + 0.5))
    for _ in range(NUM_ITERATIONS):
        found = torch.linalg.qr(matrix @ (matrix.T @ found)).Q
    return found
