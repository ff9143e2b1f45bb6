"""Sizes of a model from which the bytes of a cached token follow, and ratios of forms to KV that follow from them."""

from __future__ import annotations

from fractions import Fraction
from typing import Protocol


class TokenSizes(Protocol):
    """Sizes of a model that determine the bytes of a cached token."""

    @property
    def hidden_size(self) -> int:
        """Values of a hidden state."""
        ...

    @property
    def num_kv_heads(self) -> int:
        """Heads of K, and of V."""
        ...

    @property
    def head_dim(self) -> int:
        """Values of a head."""
        ...


TWO_BYTES = Fraction(2)  # of each number, as in most caches


def hidden_ratio(hidden_size: int, num_kv_heads: int, head_dim: int, number_bytes: Fraction = TWO_BYTES) -> Fraction:
    """bytes(hidden) / bytes(KV) of a token: hidden_size / (2 num_kv_heads head_dim), where numbers have equal bytes.

    Numbers of K and V have `number_bytes`, those of hidden states no fewer than two.
    """
    return Fraction(hidden_size, 2 * num_kv_heads * head_dim) * max(number_bytes, TWO_BYTES) / number_bytes


def num_kept(hidden_size: int) -> int:
    """Numbers of V that the keys form stores beside the hidden_size ones of K: an eighth, rounded up."""
    return -(-hidden_size // 8)


def keys_ratio(sizes: TokenSizes, number_bytes: Fraction) -> Fraction | None:
    """bytes(keys) / bytes(KV) of a token; None where K has not as many values as a hidden state, as with GQA."""
    if sizes.num_kv_heads * sizes.head_dim != sizes.hidden_size:
        return None
    return Fraction(sizes.hidden_size + num_kept(sizes.hidden_size), 2 * sizes.hidden_size)
