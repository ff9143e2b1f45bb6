"""Forms of cache: the table of their properties, and how many blocks of a fixed number of bytes tokens take."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from fractions import Fraction
from functools import cached_property
from typing import TypeVar

import numpy as np

from aptsched.scheduling.token_sizes import TWO_BYTES, TokenSizes, hidden_ratio, keys_ratio
from aptsched.support.checks import Bools, Ints
from aptsched.support.errors import InputError

Count = TypeVar("Count", int, Ints)

BLOCK_SIZE = 16  # KV tokens a block
NO_BLOCKS = 2**62


class CacheForm(IntEnum):
    """The form in which a request's tokens are cached; it is column form - 1 of a hybrid `BatchProblem`."""

    NONE = 0
    KV = 1
    HIDDEN = 2
    INT8 = 3
    KEYS = 4


NONE, KV = int(CacheForm.NONE), int(CacheForm.KV)  # comparisons of arrays with members of an enum are slow
NUM_FORMS = len(CacheForm)  # length of arrays by form, whose first entry is for NONE


class Charge(StrEnum):
    """Work on a cached token, in addition to reading its bytes; costs have a time for each."""

    NOTHING = "nothing"
    READ = "read"  # its K and V are read once
    ABSORB = "absorb"  # its hidden state is attended to; its K and V are rebuilt for requests with many new tokens
    REBUILD = "rebuild"  # its K and V are projected from what is stored
    DEQUANTISE = "dequantise"  # its K and V are multiplied by their scales


Ratio = Callable[[TokenSizes, Fraction], Fraction | None]


@dataclass(frozen=True)
class FormEntry:
    """The properties of a form of cache.

    Attributes
    ----------
    form : CacheForm
    name : str
        Name in keys of files, as in `kv_share`, and in options.
    label : str
        Name in messages and tables.
    ratio : callable
        From a model's sizes and the bytes of a number of K and V to a token's bytes in this form over those of K and V;
        None for a model that cannot have this form.
    is_lossy : bool
        Whether values are rounded: such a form is only offered to policies that ask for it.
    own_reads : int
        How often attention reads the bytes of a cached token; 0 where it reads at the price of K and V.
    charge : Charge
        Further work on each cached token in each iteration.
    needs : str
        What a model must have for this form beside its sizes, in words; only weights at hand show it.
    becomes : mapping of CacheForm to Charge
        Forms that tokens can be converted to in place, without a new prefill, and the work on each token for that.
    """

    form: CacheForm
    name: str
    label: str
    ratio: Ratio
    is_lossy: bool = False
    own_reads: int = 0
    charge: Charge = Charge.NOTHING
    needs: str = ""
    becomes: Mapping[CacheForm, Charge] = field(default_factory=dict)


FORM_ENTRIES = (
    FormEntry(
        CacheForm.KV,
        "kv",
        "KV",
        lambda sizes, number_bytes: Fraction(1),
        becomes={CacheForm.INT8: Charge.READ, CacheForm.KEYS: Charge.READ},  # from int8 never back: rounding is lost
    ),
    FormEntry(
        CacheForm.HIDDEN,
        "hidden",
        "hidden",
        lambda sizes, number_bytes: hidden_ratio(sizes.hidden_size, sizes.num_kv_heads, sizes.head_dim, number_bytes),
        charge=Charge.ABSORB,
        becomes={CacheForm.KV: Charge.REBUILD},
    ),
    FormEntry(
        CacheForm.INT8,
        "int8",
        "int8",
        # A byte for each value of K and V, and a scale of two bytes for each head.
        lambda sizes, number_bytes: Fraction(sizes.head_dim + 2, sizes.head_dim * number_bytes),
        is_lossy=True,
        own_reads=1,
        charge=Charge.DEQUANTISE,
    ),
    FormEntry(
        CacheForm.KEYS,
        "keys",
        "keys",
        keys_ratio,
        is_lossy=True,
        needs="projections by which K determines V well, in every layer",
        own_reads=2,  # for scores and for sums; their products take less time than that, as those of hidden states do
        becomes={CacheForm.KV: Charge.REBUILD},  # V is, K only turned
    ),
)  # in the order of CacheForm, without NONE


def entry_of(form: CacheForm | int) -> FormEntry:
    """The entry of a form other than NONE."""
    return FORM_ENTRIES[form - 1]


def shown_forms(amounts: Sequence[float]) -> list[FormEntry]:
    """The forms that tables and files show for amounts by form, [f]: a lossy one only if its amount is not 0."""
    return [entry for entry in FORM_ENTRIES if amounts[entry.form] or not entry.is_lossy]


def sums_by_form(form: Ints, amounts: Ints) -> tuple[int, ...]:
    """Sums by form of amounts, [n], whose forms are given, [n]."""
    return tuple(map(int, np.bincount(form, amounts, NUM_FORMS).tolist()))


def _ratios(sizes: TokenSizes, number_bytes: Fraction, is_lossy: bool) -> dict[CacheForm, Fraction]:
    """The ratio of each form beside KV that is lossy, or is not, and that a model of these sizes can have."""
    found = {e.form: e.ratio(sizes, number_bytes) for e in FORM_ENTRIES if e.is_lossy == is_lossy and e.form != KV}
    return {form: ratio for form, ratio in found.items() if ratio is not None}


def lossy_ratios(sizes: TokenSizes, number_bytes: int | Fraction) -> dict[CacheForm, Fraction]:
    """The ratio of each lossy form that a model of these sizes can have; numbers of K and V have so many bytes."""
    return _ratios(sizes, Fraction(number_bytes), is_lossy=True)


def blocks_for(num_tokens: Count, per_block: int) -> Count:
    """ceil(num_tokens / per_block), for one request or an array of them."""
    return (num_tokens + (per_block - 1)) // per_block


def unused_form(form: CacheForm, ratio: Fraction) -> list[str]:
    """A notice if a form takes no less than KV, so that it is never used; else nothing."""
    if ratio < 1:
        return []
    never = f"The {entry_of(form).label} form is never used"
    return [f"{never}: its ratio to KV is {ratio}, and only below 1 does it take less memory."]


def unseen_needs(forms: Iterable[CacheForm]) -> list[str]:
    """A notice for each of these forms that weights may not allow, where there are none to look at."""
    entries = [entry_of(form) for form in forms]
    return [f"The {each.label} form is taken to be possible: it needs {each.needs}." for each in entries if each.needs]


def unused_hidden(ratio: Fraction) -> list[str]:
    """The notice of `unused_form` for hidden states."""
    return unused_form(CacheForm.HIDDEN, ratio)


def _half_hidden() -> Mapping[CacheForm, Fraction]:
    return {CacheForm.HIDDEN: Fraction(1, 2)}


@dataclass(frozen=True)
class CacheShape:
    """How many tokens a block holds, in each form of cache.

    Parameters
    ----------
    ratios : mapping of CacheForm to Fraction
        For each form in use beside KV, a token's bytes over those of its KV; by default hidden states at 1/2, as in
        a model with MHA. The mapping must not be changed afterwards.
    block_size : int
        KV tokens a block.

    Raises
    ------
    InputError
        A ratio is no Fraction above 0, or the block size is below 1.
    """

    ratios: Mapping[CacheForm, Fraction] = field(default_factory=_half_hidden)
    block_size: int = BLOCK_SIZE

    def __post_init__(self) -> None:
        for form, ratio in self.ratios.items():
            if not isinstance(ratio, Fraction) or ratio <= 0:
                name = CacheForm(form).name.lower()
                raise InputError(f"ratios: {ratio!r} of {name} is not accepted; a Fraction above 0 is")
        if self.block_size < 1:
            raise InputError(f"block_size: {self.block_size} is not accepted; at least 1 token is")

    @classmethod
    def of(cls, sizes: TokenSizes, number_bytes: Fraction = TWO_BYTES) -> CacheShape:
        """The cache shape of a model, without lossy forms, where numbers of K and V have so many bytes."""
        return cls(_ratios(sizes, number_bytes, is_lossy=False))

    def with_forms(self, ratios: Mapping[CacheForm, Fraction]) -> CacheShape:
        """The same shape with these forms in use too."""
        return CacheShape({**self.ratios, **ratios}, self.block_size)

    def as_fields(self) -> dict[str, str]:
        """The ratios as in files, by the names of the forms: `hidden_ratio` and so on."""
        return {f"{entry_of(form).name}_ratio": str(ratio) for form, ratio in self.ratios.items()}

    @cached_property
    def ratio_by_form(self) -> tuple[Fraction | None, ...]:
        """Bytes of a token over those of KV, by form; None for a form that is not in use."""
        in_use = {CacheForm.KV: Fraction(1), **self.ratios}
        return tuple(in_use.get(form) for form in CacheForm)

    @cached_property
    def offered(self) -> tuple[int, ...]:
        """The forms that requests may be given: KV, and others with a ratio below 1."""
        return tuple(
            form for form, ratio in enumerate(self.ratio_by_form) if ratio is not None and (form == KV or ratio < 1)
        )

    @cached_property
    def heaviest_first(self) -> tuple[int, ...]:
        """The forms offered, those that take most first."""
        return tuple(sorted(self.offered, key=lambda form: self.ratio_by_form[form] or 1, reverse=True))

    @cached_property
    def is_offered(self) -> Bools:
        """Whether each form is offered, [f]."""
        return np.array([form in self.offered for form in range(NUM_FORMS)])

    def offers(self, form: CacheForm | int) -> bool:
        """Whether requests may be given that form."""
        return form in self.offered

    @cached_property
    def conversions(self) -> Bools:
        """Whether tokens may be converted in place from the form of the row to that of the column, [f, f]."""
        allowed = np.zeros((NUM_FORMS, NUM_FORMS), np.bool_)
        for entry in FORM_ENTRIES:
            for target in entry.becomes:
                allowed[entry.form, target] = self.offers(entry.form) and self.offers(target)
        return allowed

    @cached_property
    def read_share(self) -> tuple[float, ...]:
        """Bytes that attention reads of a cached token, as a share of its K and V, by form."""
        shares = [float((self.ratio_by_form[e.form] or 1) * e.own_reads) if e.own_reads else 1.0 for e in FORM_ENTRIES]
        return (0.0, *shares)

    @cached_property
    def per_block(self) -> tuple[int, ...]:
        """Whole tokens in a block, by form; 0 for a form that is not in use, or of which none fits."""
        return tuple(0 if ratio is None else int(self.block_size / ratio) for ratio in self.ratio_by_form)

    @cached_property
    def _divisors(self) -> tuple[Ints, Ints]:
        """Divisors by form, and the terms that round up to whole blocks; a form that is not offered gets 0 blocks."""
        per_block = np.array([self.per_block[form] if self.offers(form) else NO_BLOCKS for form in range(NUM_FORMS)])
        return per_block, np.where(per_block == NO_BLOCKS, 0, per_block - 1)

    def tokens_per_block(self, form: CacheForm | int) -> int:
        """Tokens of that form in a block."""
        return self.per_block[form]

    def blocks(self, num_tokens: Count, form: CacheForm | int) -> Count:
        """Blocks that so many tokens take in that form."""
        return blocks_for(num_tokens, self.per_block[form])

    def blocks_by_form(self, num_tokens: Ints, form: Ints) -> Ints:
        """Blocks of each request, [n], in its own form; 0 for the form NONE."""
        per_block, up = self._divisors
        held: Ints = (num_tokens + up[form]) // per_block[form]
        return held
