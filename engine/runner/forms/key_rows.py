"""The rows of the keys form in one layer: how they are made of K and V, and what is read from them."""

from __future__ import annotations

import torch

from engine.runner.forms.values_from_keys import ValuesFromKeys


class KeyRows:
    """A row holds K before RoPE and without its bias, [hidden_size], and then the kept numbers of V, [num_kept].

    Parameters
    ----------
    found : ValuesFromKeys
        Of the layer.
    key_bias : tensor, [hidden_size], or None
    angles : two tensors, [max_positions, head_dim / 2], or None
        Cosines and sines of RoPE.
    head_dim : int
    dtype : torch.dtype
        That of products and of all results.
    """

    def __init__(
        self,
        found: ValuesFromKeys,
        key_bias: torch.Tensor | None,
        angles: tuple[torch.Tensor, torch.Tensor] | None,
        head_dim: int,
        dtype: torch.dtype,
    ) -> None:
        self.hidden_size, self.head_dim = len(found.kept), head_dim
        self.kept, self.constant = found.kept.to(dtype), found.constant.to(dtype)
        self.to_v = torch.cat([found.through, found.kept], 1).T.to(dtype).contiguous()  # [width, hidden_size]
        self.key_bias, self.angles = None if key_bias is None else key_bias.to(dtype), angles

    def made(self, kv: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """The rows, [t, width], of K and V, [t, 2, num_heads, head_dim], at their positions, [t]."""
        k, v = kv.to(self.to_v.dtype).unbind(1)
        if self.angles is not None:
            cos, sin = (each.index_select(0, positions)[:, None] for each in self.angles)
            square = cos**2 + sin**2  # not 1 where the angles are in 16 bits
            k = turned(k, cos / square, -sin / square)
        k = k.flatten(1) if self.key_bias is None else k.flatten(1) - self.key_bias
        return torch.cat([k, v.flatten(1) @ self.kept], 1)

    def keys(self, rows: torch.Tensor) -> torch.Tensor:
        """K, [size, length, num_heads, head_dim], of rows, [size, length, width], from position 0 on."""
        k = rows[..., : self.hidden_size]
        k = self._heads(k if self.key_bias is None else k + self.key_bias)
        if self.angles is None:
            return k
        cos, sin = self.angles
        at = torch.arange(rows.shape[1], device=rows.device).clamp_(max=len(cos) - 1)  # beyond it there is only padding
        return turned(k, cos[at, None], sin[at, None])

    def scored(self, rows: torch.Tensor) -> torch.Tensor:
        """K as `keys`, but where nothing is turned without its bias: equal for all tokens, that leaves the softmax."""
        return self._heads(rows[..., : self.hidden_size]) if self.angles is None else self.keys(rows)

    def values(self, rows: torch.Tensor) -> torch.Tensor:
        """V, [..., num_heads, head_dim], of rows, [..., width]."""
        return self._heads(rows @ self.to_v + self.constant)

    def values_of_heads(self, sums: torch.Tensor) -> torch.Tensor:
        """Each head's values of its own sum of rows: [size, num_heads, new, width] -> [size * new, heads, head_dim]."""
        per_head = self._heads(self.to_v).transpose(0, 1)  # [num_heads, width, head_dim]
        found = sums.transpose(0, 1).flatten(1, 2) @ per_head  # [num_heads, size * new, head_dim]
        return found.transpose(0, 1) + self._heads(self.constant)

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        """A view, [..., num_heads, head_dim], of [..., hidden_size]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)


def turned(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Heads, [..., head_dim], whose pairs of dimensions are turned by angles, [..., head_dim / 2], as RoPE does."""
    first, second = heads.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
