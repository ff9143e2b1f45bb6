"""The layout of one iteration's tokens: how they are grouped, written to the cache, and what they attend to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from aptsched.support.checks import Ints
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.form_blocks import FormBlocks, owners, write_stored
from engine.runner.forms.groups import Entries, Group, Prefill, decodes, group, prefill
from engine.runner.kernels.form_kernels import FormKernels
from engine.runner.kernels.mix import Mix
from engine.state.batch import Batch

PREFILL, CHUNK, DECODE, MIXED = range(4)  # kinds of entries, in the order of their tokens; the last are by kernels


@dataclass(frozen=True, eq=False)
class Layout:
    """One iteration; its tensors are there after `Upload.send`.

    Attributes
    ----------
    entries : int array, [b]
        The batch's entries in the order of their tokens.
    token_ids, positions : int tensor, [T]
    last : int tensor
        Positions of the tokens whose logits give the next token of their request.
    begun : int tensor
        Blocks that get their first token in this iteration and are not filled by it, where what follows is read.
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
    begun: torch.Tensor
    writes: tuple[Callable[[int, torch.Tensor, torch.Tensor | None], None], ...]
    segments: tuple[Prefill | Group, ...]
    needs_kv: bool


def lay_out(
    batch: Batch, storage: CacheStorage, forms: Mapping[int, FormBlocks], kernels: Mapping[int, FormKernels]
) -> Layout:
    """The layout of a batch: whole prefills, then chunks, then decodes by form and length, then forms with kernels."""
    stop = batch.start + batch.num_tokens
    kind = _kinds(batch, kernels)
    entries = np.lexsort((np.where(kind == MIXED, batch.num_tokens, -stop), batch.form, kind))
    ordered = Entries(*(a[entries] for a in (batch.start, batch.num_tokens, batch.form, batch.block_table)))
    rows = _Rows(storage, forms, kernels, ordered, kind[entries])
    ids = np.concatenate([batch.requests[i].token_ids(int(batch.start[i]), int(stop[i])) for i in entries.tolist()])
    return Layout(
        entries=entries,
        token_ids=rows.put(ids),
        positions=rows.put(rows.positions),
        last=rows.put((rows.ends - 1)[batch.samples[entries]]),
        begun=rows.begun(),
        writes=tuple(rows.writes()),
        segments=tuple(rows.segments()),
        needs_kv=bool((kind == PREFILL).any()) or not all(forms[form].stores_hidden for form in batch.form.tolist()),
    )


def _kinds(batch: Batch, kernels: Mapping[int, FormKernels]) -> Ints:
    """The kind of each entry; kernels that read no prefills back leave these to attend to their own K and V."""
    plain = np.where(batch.start == 0, PREFILL, np.where(batch.num_tokens > 1, CHUNK, DECODE))
    for form, kernel in kernels.items():
        mixed = (batch.form == form) & (kernel.reads_prefills | (plain != PREFILL))
        plain = np.where(mixed, MIXED, plain)
    return plain


class _Rows:
    """The entries in the order of their tokens, and the kind of each."""

    def __init__(
        self,
        storage: CacheStorage,
        forms: Mapping[int, FormBlocks],
        kernels: Mapping[int, FormKernels],
        entries: Entries,
        kind: Ints,
    ) -> None:
        self.forms, self.kernels, self.entries, self.kind = forms, kernels, entries, kind
        self.put = storage.upload.put
        self.ends = entries.count.cumsum()
        self.owner, place = owners(entries.count)
        self.positions = entries.start[self.owner] + place

    def begun(self) -> torch.Tensor:
        """The last block of each entry, if its first token is a new one and the block has room for more."""
        start, stop, form = self.entries.start, self.entries.start + self.entries.count, self.entries.form.tolist()
        held = np.array([self.forms[each].tokens_per_block for each in form])
        last = (stop - 1) // held
        begun = (last * held >= start) & (stop % held > 0) & np.array([each not in self.kernels for each in form])
        return self.put(self.entries.table[begun, last[begun]])

    def writes(self) -> Iterator[Callable[[int, torch.Tensor, torch.Tensor | None], None]]:
        """One function for the new tokens of each form."""
        form = self.entries.form[self.owner]
        for each in sorted(set(self.entries.form.tolist())):
            ours = np.flatnonzero(form == each)
            tokens = None if len(ours) == len(form) else self.put(ours)
            by = self.kernels.get(each, self.forms[each])
            write = by.writer(self.entries.table, self.owner[ours], self.positions[ours])
            yield partial(write_stored, self.forms[each], tokens, write)

    def segments(self) -> Iterator[Prefill | Group]:
        """All segments, kind by kind."""
        chunk, decode, mixed = np.searchsorted(self.kind, (CHUNK, DECODE, MIXED)).tolist()
        yield from (prefill(self.entries, self.forms, entry) for entry in range(chunk))
        alone = [(entry, entry + 1) for entry in range(chunk, decode)]
        for first, end in alone + decodes(self.entries, self.forms, decode, mixed):
            yield group(self.entries, self.forms, self.put, first, end)
        form = self.entries.form[mixed:]
        for each in sorted(set(form.tolist())):
            first, end = mixed + np.searchsorted(form, (each, each + 1))
            arrays = (array[first:end] for array in (self.entries.start, self.entries.count, self.entries.table))
            yield Group(self.entries.tokens(first, end), self.kernels[each].attender(Mix(*arrays)))
