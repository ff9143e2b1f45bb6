"""The batch-composition problem: definition 1 of Apt-Serve, for any forms, limits and required requests."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from aptsched.support import checks
from aptsched.support.checks import MAX_COUNT, Bools, Floats, Ints
from aptsched.support.compiled import row_by_row
from aptsched.support.constant import constant
from aptsched.support.errors import InputError
from aptsched.support.lazy import lazy
from aptsched.support.quick_init import of_values

Options = tuple[Floats, Ints, Ints, Ints]  # values and blocks, a row for each form, [k, n]; tokens and sequences, [n]


@dataclass(frozen=True, eq=False, init=False)
class BatchProblem:
    """Which requests go into the next batch, and with which form of cache.

        maximise    sum_i sum_f values[i, f] x[i, f]
        subject to  sum_f x[i, f] <= 1                               for each request i (= 1 where required[i])
                    sum_i sum_f weights[i, f] x[i, f] <= capacity    blocks
                    sum_i num_tokens[i] sum_f x[i, f] <= max_tokens  tokens of the iteration
                    sum_i sum_f x[i, f]               <= max_seqs    sequences
                    x binary

    Parameters
    ----------
    values : array_like of float, [n, k]
        Scheduling value of each request in each form, in seconds. A form with a value of 0 or less is never chosen for
        a request that is not required.
    weights : array_like of int, [n, k]
        Whole cache blocks that each form needs.
    capacity : int
        Free cache blocks, M.
    num_tokens : array_like of int, [n], optional
        Tokens that each request adds to the iteration.
    max_tokens : int, optional
        Token budget of the iteration, T; None is unlimited.
    max_seqs : int, optional
        Most requests in the batch, B; None is unlimited.
    required : array_like of bool, [n], optional
        Requests that run already and must be served in some form.

    Raises
    ------
    InputError
        Names the field, its value and what is accepted.

    Notes
    -----
    What cannot fit alone (weights > capacity, or num_tokens > max_tokens) is removed first, by every method and in
    every bound. A form that another form of the same request matches in value at no more blocks is never chosen. The
    arrays are read-only copies.
    """

    values: Floats
    weights: Ints
    capacity: int
    num_tokens: Ints | None = None
    max_tokens: int | None = None
    max_seqs: int | None = None
    required: Bools | None = None

    def __init__(
        self,
        values: npt.ArrayLike,
        weights: npt.ArrayLike,
        capacity: int,
        num_tokens: npt.ArrayLike | None = None,
        max_tokens: int | None = None,
        max_seqs: int | None = None,
        required: npt.ArrayLike | None = None,
    ) -> None:
        seconds = checks.floats("values", values, ndim=2)
        n = seconds.shape[0]
        if max_tokens is not None and num_tokens is None:
            raise InputError(
                f"num_tokens: missing, but max_tokens is {max_tokens}; the tokens of each request are needed"
            )
        checked = {
            "values": seconds,
            "weights": checks.counts("weights", weights, seconds.shape),
            "capacity": checks.limit("capacity", capacity),
            "num_tokens": None if num_tokens is None else checks.counts("num_tokens", num_tokens, (n,)),
            "max_tokens": None if max_tokens is None else checks.limit("max_tokens", max_tokens),
            "max_seqs": None if max_seqs is None else checks.limit("max_seqs", max_seqs),
            "required": None if required is None else checks.flags("required", required, n),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def hybrid(
        cls,
        pending_s: npt.ArrayLike,
        num_blocks: npt.ArrayLike,
        capacity: int,
        penalty_s_per_block: float,
        hidden_ratio: Fraction | float | str = Fraction(1, 2),
        num_tokens: npt.ArrayLike | None = None,
        max_tokens: int | None = None,
        max_seqs: int | None = None,
        required: npt.ArrayLike | None = None,
    ) -> BatchProblem:
        """Definition 1: form 1 is the KV cache, form 2 the hidden cache, in whole blocks.

        Parameters
        ----------
        pending_s : array_like of float, [n]
            Pending time p of each request, in seconds: its value with a KV cache.
        num_blocks : array_like of int, [n]
            Blocks m that it needs with a KV cache; hidden, it needs ceil(m * hidden_ratio).
        penalty_s_per_block : float
            What each block m of a hidden request costs all who wait, U * rho, in seconds: the hidden value is
            p - penalty * m.
        hidden_ratio : Fraction
            bytes(hidden) / bytes(KV) = hidden_size / (2 num_kv_heads head_dim). At 1 or more the hidden form is
            never chosen: the KV form is worth as much and no heavier.

        Source: Apt-Serve, section 4.2 and Definition 1; halves are rounded up to whole blocks.
        """
        pending = checks.floats("pending_s", pending_s, ndim=1)
        blocks = checks.counts("num_blocks", num_blocks, pending.shape)
        penalty = float(checks.floats("penalty_s_per_block", penalty_s_per_block, ndim=0))
        if penalty < 0:
            raise InputError(f"penalty_s_per_block: {penalty} is not accepted; seconds of at least 0 are")
        return cls(
            values=np.array([pending, pending - penalty * blocks]).T,
            weights=np.array([blocks, scaled_up(blocks, checks.ratio("hidden_ratio", hidden_ratio))]).T,
            capacity=capacity,
            num_tokens=num_tokens,
            max_tokens=max_tokens,
            max_seqs=max_seqs,
            required=required,
        )

    @classmethod
    def unchecked(
        cls,
        values: Floats,
        weights: Ints,
        capacity: int,
        num_tokens: Ints | None = None,
        max_tokens: int | None = None,
        max_seqs: int | None = None,
        required: Bools | None = None,
    ) -> BatchProblem:
        """The same for arrays that are known to be as accepted and that nobody else holds: neither checks nor copies.

        For policies, which make a problem in each iteration; the arrays are read-only afterwards.
        """
        for array in (values, weights, num_tokens, required):
            if array is not None:
                array.setflags(write=False)
        return of_values(
            cls,
            {
                "values": values,
                "weights": weights,
                "capacity": capacity,
                "num_tokens": num_tokens,
                "max_tokens": max_tokens,
                "max_seqs": max_seqs,
                "required": required,
            },
        )

    @property
    def num_requests(self) -> int:
        """Number of requests, n."""
        return len(self.values)

    @property
    def num_forms(self) -> int:
        """Number of forms, k."""
        return int(self.values.shape[1])

    @property
    def limits(self) -> tuple[Any, ...]:
        """Of blocks, tokens and sequences; inf where unlimited."""
        tokens, seqs = self.max_tokens, self.max_seqs
        return self.capacity, math.inf if tokens is None else tokens, math.inf if seqs is None else seqs

    @lazy
    def options(self) -> Options:
        """What loops over forms are given: read-only, row by row; tokens are 0 where they are not counted."""
        tokens = constant(0, self.num_requests) if self.num_tokens is None else row_by_row(self.num_tokens)
        return row_by_row(self.values.T), row_by_row(self.weights.T), tokens, constant(1, self.num_requests)

    def fits_alone(self) -> Bools:
        """The forms that remain when those that cannot fit alone are removed, [n, k]."""
        fits: Bools = self.weights <= self.capacity
        if self.max_tokens is not None and self.num_tokens is not None:
            fits &= (self.num_tokens <= self.max_tokens)[:, None]
        return fits


def scaled_up(blocks: Ints, ratio: Fraction) -> Ints:
    """ceil(blocks * ratio), exactly."""
    if int(blocks.max()) * ratio.numerator < 2**62 and ratio.denominator < 2**62:
        return -(-blocks * ratio.numerator // ratio.denominator)
    exact = -(-blocks.astype(object) * ratio.numerator // ratio.denominator)
    if max(exact) > MAX_COUNT:
        raise InputError(f"hidden_ratio: {ratio} makes weights beyond 2**32 blocks; smaller ones are accepted")
    return exact.astype(np.int64)
