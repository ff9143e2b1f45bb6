"""The layout of one iteration's tokens: how they are grouped, written to the cache, and what they attend to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch

from aptsched.support.checks import Ints
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.form_blocks import AttendCached, FormBlocks, on_device, write_stored
from engine.state.batch import Batch

GROUP_BYTES = 16 * 2**20  # most bytes that a group of requests reads in a layer
PADDING_BYTES = 2**19  # most bytes of padding that a group may read: about the cost of one more group


@dataclass(frozen=True, eq=False)
class Prefill:
    """Tokens of one request from its first one on, which attend only to each other.

    Attributes
    ----------
    tokens : slice
        Their place among the iteration's tokens.
    as_read : function
        `FormBlocks.as_read` of the request's form.
    """

    tokens: slice
    as_read: Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Group:
    """Requests in one form with the same number of new tokens, which attend to all cached tokens of their request.

    Attributes
    ----------
    tokens : slice
        Place of the new tokens among the iteration's, request by request.
    attend : function
        From a layer and Q of the new tokens to what attention to the cached tokens gives.
    """

    tokens: slice
    attend: AttendCached


@dataclass(frozen=True, eq=False)
class Layout:
    """One iteration.

    Attributes
    ----------
    entries : int array, [b]
        The batch's entries in the order of their tokens.
    token_ids, positions : int tensor, [T]
    last : int tensor
        Positions of the tokens whose logits give the next token of their request.
    begun : int array
        Blocks that get their first token in this iteration and are not filled by it.
    writes : tuple of functions
        Each writes the tokens of one form, given a layer, its hidden states [T, hidden] and its K and V.
    segments : tuple of Prefill and Group
        Together they have all tokens, each once.
    needs_kv : bool
        Whether K and V of the new tokens are needed: by a prefill, or by a form that stores them.
    """

    entries: Ints
    token_ids: torch.Tensor
    positions: torch.Tensor
    last: torch.Tensor
    begun: Ints
    writes: tuple[Callable[[int, torch.Tensor, torch.Tensor | None], None], ...]
    segments: tuple[Prefill | Group, ...]
    needs_kv: bool


def lay_out(batch: Batch, storage: CacheStorage, forms: Mapping[int, FormBlocks]) -> Layout:
    """The layout of a batch: whole prefills, then chunks, then decodes by form and length."""
    stop = batch.start + batch.num_tokens
    kind = np.where(batch.start == 0, 0, np.where(batch.num_tokens > 1, 1, 2))
    entries = np.lexsort((-stop, batch.form, kind))
    rows = _Rows(storage, forms, *(a[entries] for a in (batch.start, batch.num_tokens, batch.form, batch.block_table)))
    ids = np.concatenate([batch.requests[i].token_ids(int(batch.start[i]), int(stop[i])) for i in entries.tolist()])
    return Layout(
        entries=entries,
        token_ids=rows.tensor(ids),
        positions=rows.tensor(rows.positions),
        last=rows.tensor((rows.ends - 1)[batch.samples[entries]]),
        begun=rows.begun(),
        writes=tuple(rows.writes()),
        segments=rows.segments(kind[entries]),
        needs_kv=not batch.start.all() or not all(forms[form].stores_hidden for form in batch.form.tolist()),
    )


class _Rows:
    """The entries in the order of their tokens: first token, new tokens, form and blocks of each."""

    def __init__(
        self,
        storage: CacheStorage,
        forms: Mapping[int, FormBlocks],
        start: Ints,
        count: Ints,
        form: Ints,
        table: Ints,
    ) -> None:
        self.forms, self.start, self.count, self.form, self.table = forms, start, count, form, table
        self.device = storage.blocks.device
        self.stop, self.ends = start + count, count.cumsum()
        self.owner = np.repeat(np.arange(len(start)), count)
        self.positions = np.arange(len(self.owner)) - (self.ends - count)[self.owner] + start[self.owner]

    def tensor(self, array: Ints) -> torch.Tensor:
        return on_device(array, self.device)

    def begun(self) -> Ints:
        """The last block of each entry, if its first token is a new one and the block has room for more."""
        held = np.array([self.forms[form].tokens_per_block for form in self.form.tolist()])
        last = (self.stop - 1) // held
        begun = (last * held >= self.start) & (self.stop % held > 0)
        blocks: Ints = self.table[begun, last[begun]]
        return blocks

    def writes(self) -> Iterator[Callable[[int, torch.Tensor, torch.Tensor | None], None]]:
        """One function for the new tokens of each form."""
        form = self.form[self.owner]
        for each in sorted(set(self.form.tolist())):
            ours = np.flatnonzero(form == each)
            tokens = None if len(ours) == len(form) else self.tensor(ours)
            write = self.forms[each].writer(self.table, self.owner[ours], self.positions[ours])
            yield partial(write_stored, self.forms[each], tokens, write)

    def segments(self, kind: Ints) -> tuple[Prefill | Group, ...]:
        """All segments; kind is 0 for whole prefills, 1 for chunks, 2 for decodes, in this order."""
        first_chunk, first_decode = np.searchsorted(kind, (1, 2)).tolist()
        prefills = [Prefill(self._tokens(i, i + 1), self.forms[self.form[i]].as_read) for i in range(first_chunk)]
        chunks = [self._group(i, i + 1) for i in range(first_chunk, first_decode)]
        cuts = self._cuts(first_decode)
        decodes = [self._group(a, b) for a, b in pairwise(cuts)]
        return (*prefills, *chunks, *decodes)

    def _cuts(self, first: int) -> list[int]:
        """Where groups of decodes begin, and the end: a group has one form, little padding, and a bounded size."""
        lengths, forms = self.stop.tolist(), self.form.tolist()
        cuts, padding = [first], 0
        for i in range(first, len(lengths)):
            head, form = cuts[-1], self.forms[forms[cuts[-1]]]
            padding += (lengths[head] - lengths[i]) * form.token_bytes
            too_much = (i + 1 - head) * form.length(lengths[head]) * form.token_bytes > GROUP_BYTES
            if i > head and (forms[i] != forms[head] or padding > PADDING_BYTES or too_much):
                cuts.append(i)
                padding = 0
        return [*cuts, len(lengths)] if first < len(lengths) else []

    def _tokens(self, first: int, end: int) -> slice:
        return slice(int(self.ends[first] - self.count[first]), int(self.ends[end - 1]))

    def _group(self, first: int, end: int) -> Group:
        """One group of the entries from `first` to `end`."""
        form, stop = self.forms[self.form[first]], self.stop[first:end]
        until = self.start[first:end, None] + np.arange(int(self.count[first]))  # the position of each new token
        visible = np.arange(form.length(int(stop.max()))) <= until[:, None, :, None]
        attend = form.attender(self.table[first:end], stop, on_device(visible, self.device))
        return Group(self._tokens(first, end), attend)
