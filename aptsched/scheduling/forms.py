"""Forms of cache, and how many blocks of a fixed number of bytes they take: the one place where that is counted."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from functools import cached_property
from typing import TypeVar

import numpy as np

from aptsched.support.checks import Bools, Ints
from aptsched.support.errors import InputError

Count = TypeVar("Count", int, Ints)

BLOCK_SIZE = 16  # KV tokens a block
NO_BLOCKS = 2**62


class CacheForm(IntEnum):
    """In which form a request's tokens are cached: column form - 1 of a hybrid `BatchProblem`."""

    NONE = 0
    KV = 1
    HIDDEN = 2


NONE, KV, HIDDEN = (
    int(form) for form in CacheForm
)  # for comparisons with arrays, which are slow with members of an enum


@dataclass(frozen=True)
class FormEntry:
    """What is known of a form of cache.

    Attributes
    ----------
    form : CacheForm
    label : str
        In messages and tables.
    becomes : tuple of CacheForm
        Forms that tokens cached in it can be converted to in place, without a new prefill.
    """

    form: CacheForm
    label: str
    becomes: tuple[CacheForm, ...] = ()


FORMS = (
    FormEntry(CacheForm.KV, "KV"),
    FormEntry(CacheForm.HIDDEN, "hidden", becomes=(CacheForm.KV,)),
)


def hidden_ratio(hidden_size: int, num_kv_heads: int, head_dim: int) -> Fraction:
    """bytes(hidden) / bytes(KV) of a token: hidden_size / (2 num_kv_heads head_dim)."""
    return Fraction(hidden_size, 2 * num_kv_heads * head_dim)


def tokens_per_block(ratio: Fraction, block_size: int = BLOCK_SIZE) -> int:
    """Whole tokens that a block of `block_size` KV tokens holds in a form of the given ratio; 0 where none fits."""
    return int(block_size / ratio)


def blocks_for(num_tokens: Count, per_block: int) -> Count:
    """ceil(num_tokens / per_block), for one request or an array of them."""
    return (num_tokens + (per_block - 1)) // per_block


def unused_hidden(ratio: Fraction) -> list[str]:
    """A notice where the hidden form takes no less than KV, so that it is never used."""
    if ratio < 1:
        return []
    return [f"The hidden form is never used: its ratio to KV is {ratio}, and only below 1 does it take less memory."]


@dataclass(frozen=True)
class CacheShape:
    """How tokens go into blocks.

    Parameters
    ----------
    ratio : Fraction
        bytes(hidden) / bytes(KV) of a token, a property of the model.
    block_size : int
        KV tokens a block.
    """

    ratio: Fraction = Fraction(1, 2)
    block_size: int = BLOCK_SIZE

    def __post_init__(self) -> None:
        if not isinstance(self.ratio, Fraction) or self.ratio <= 0:
            raise InputError(f"ratio: {self.ratio!r} is not accepted; a Fraction above 0 is")
        if self.block_size < 1:
            raise InputError(f"block_size: {self.block_size} is not accepted; at least 1 token is")

    @cached_property
    def offers_hidden(self) -> bool:
        """Whether the hidden form is smaller than KV; at a ratio of 1 or more it is never given."""
        return self.ratio < 1

    @cached_property
    def per_block(self) -> tuple[int, int, int]:
        """Tokens in a block, by form."""
        return 0, self.block_size, tokens_per_block(self.ratio, self.block_size)

    @cached_property
    def _divisors(self) -> tuple[Ints, Ints]:
        """Tokens in a block, by form, and what rounds up to whole blocks; so that there are 0 where none is offered."""
        hidden = self.per_block[HIDDEN] if self.offers_hidden else NO_BLOCKS
        per_block = np.array([NO_BLOCKS, self.block_size, hidden])
        return per_block, np.where(per_block == NO_BLOCKS, 0, per_block - 1)

    def offers(self, form: CacheForm | int) -> bool:
        """Whether requests may be given that form: KV always, another one where it takes less."""
        return form == KV or (form == HIDDEN and self.offers_hidden)

    @cached_property
    def conversions(self) -> Bools:
        """Whether a form, in its row, may be converted in place to another one, in its column."""
        allowed = np.zeros((len(CacheForm), len(CacheForm)), np.bool_)
        for entry in FORMS:
            for target in entry.becomes:
                allowed[entry.form, target] = self.offers(entry.form) and self.offers(target)
        return allowed

    def tokens_per_block(self, form: CacheForm | int) -> int:
        """Tokens of that form in a block."""
        return self.per_block[form]

    def blocks(self, num_tokens: Count, form: CacheForm | int) -> Count:
        """Blocks that so many tokens take in that form."""
        return blocks_for(num_tokens, self.per_block[form])

    def blocks_by_form(self, num_tokens: Ints, form: Ints) -> Ints:
        """Blocks of each request, [n], in its own form; 0 where that is none."""
        per_block, up = self._divisors
        held: Ints = (num_tokens + up.take(form)) // per_block.take(form)
        return held
