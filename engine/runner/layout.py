"""How one iteration's tokens are laid out: which stand together, where each is written and what it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from aptsched.scheduling.forms import CacheForm
from aptsched.support.checks import Bools, Ints
from engine.runner.cache_storage import CacheStorage
from engine.state.batch import Batch

GROUP_BYTES = 16 * 2**20  # of K and V that a group of requests reads in a layer
PADDING_BYTES = 2**19  # that a group may read beyond its requests' tokens: about what one group more costs
Tensor = Callable[[Ints | Bools], torch.Tensor]


@dataclass(frozen=True, eq=False)
class Prefill:
    """Tokens of one request from its first one on: they attend to one another alone.

    Attributes
    ----------
    tokens : slice
        Of the iteration's.
    """

    tokens: slice


@dataclass(frozen=True, eq=False)
class Group:
    """Requests with the same number of new tokens, which attend to all that is cached.

    Attributes
    ----------
    tokens : slice
        New tokens of the iteration, [size * num_new].
    size, num_new, length : int
        Requests, new tokens of each, and tokens read of each, padding included.
    visible : bool tensor, [size, 1, num_new, length]
        Which tokens each new token attends to.
    blocks : int tensor, [size * blocks of each]; KV form alone
    pieces, positions, rows : int tensor; hidden form alone
        Where the hidden states are, at which positions, and to which of the [size * length] rows their K and V go;
        rows is None where that is in order.
    """

    tokens: slice
    size: int
    num_new: int
    length: int
    visible: torch.Tensor
    blocks: torch.Tensor | None = None
    pieces: torch.Tensor | None = None
    positions: torch.Tensor | None = None
    rows: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Layout:
    """One iteration.

    Attributes
    ----------
    entries : int array, [b]
        The batch's entries in the order of their tokens.
    token_ids, positions : int tensor, [T]
    last : int tensor
        Tokens that yield the next token of their request.
    kv_tokens, hidden_tokens : int tensor or None
        Which tokens are written in that form; None where all are.
    slots, pieces : int tensor
        Where they are written.
    segments : tuple of Prefill and Group
        All tokens, each in one.
    """

    entries: Ints
    token_ids: torch.Tensor
    positions: torch.Tensor
    last: torch.Tensor
    kv_tokens: torch.Tensor | None
    hidden_tokens: torch.Tensor | None
    slots: torch.Tensor
    pieces: torch.Tensor
    segments: tuple[Prefill | Group, ...]


def lay_out(batch: Batch, storage: CacheStorage) -> Layout:
    """The layout of a batch: whole prefills, then chunks, then decodes by form and length."""
    stop = batch.start + batch.num_tokens
    kind = np.where(batch.start == 0, 0, np.where(batch.num_tokens > 1, 1, 2))
    entries = np.lexsort((-stop, batch.form, kind))
    start, count, form = batch.start[entries], batch.num_tokens[entries], batch.form[entries]
    ends = count.cumsum()
    owner = np.repeat(np.arange(len(entries)), count)
    positions = np.arange(len(owner)) - (ends - count)[owner] + start[owner]
    table = batch.block_table[entries]
    hidden = form[owner] == CacheForm.HIDDEN
    device = storage.blocks.device
    ids = np.concatenate([batch.requests[i].token_ids(int(batch.start[i]), int(stop[i])) for i in entries.tolist()])

    def tensor(array: Ints | Bools) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(device, non_blocking=True)

    builder = _Segments(storage, tensor, start, count, form, ends, table)
    return Layout(
        entries=entries,
        token_ids=tensor(ids),
        positions=tensor(positions),
        last=tensor((ends - 1)[batch.samples[entries]]),
        kv_tokens=tensor(np.flatnonzero(~hidden)) if hidden.any() else None,
        hidden_tokens=None if hidden.all() else tensor(np.flatnonzero(hidden)),
        slots=tensor(storage.slots(table, owner[~hidden], positions[~hidden])),
        pieces=tensor(storage.piece_indices(table, owner[hidden], positions[hidden])),
        segments=builder.segments(kind[entries]),
    )


class _Segments:
    """Makes the segments of entries in their order."""

    def __init__(
        self, storage: CacheStorage, tensor: Tensor, start: Ints, count: Ints, form: Ints, ends: Ints, table: Ints
    ) -> None:
        self.storage, self.tensor = storage, tensor
        self.start, self.count, self.form, self.ends, self.table = start, count, form, ends, table

    def segments(self, kind: Ints) -> tuple[Prefill | Group, ...]:
        """All segments; kind is 0 for whole prefills, 1 for chunks, 2 for decodes, in this order."""
        first_chunk, first_decode = np.searchsorted(kind, (1, 2)).tolist()
        prefills = [Prefill(self._tokens(i, i + 1)) for i in range(first_chunk)]
        chunks = [self._group(i, i + 1) for i in range(first_chunk, first_decode)]
        cuts = self._cuts(first_decode)
        decodes = [self._group(a, b) for a, b in pairwise(cuts)]
        return (*prefills, *chunks, *decodes)

    def _cuts(self, first: int) -> list[int]:
        """Where groups of decodes begin, and the end: by form, little padding, and not too much at once."""
        row_bytes = self.storage.row * self.storage.blocks.element_size()
        lengths, forms = (self.start + self.count).tolist(), self.form.tolist()
        cuts, padding = [first], 0
        for i in range(first, len(lengths)):
            head = cuts[-1]
            padding += (lengths[head] - lengths[i]) * row_bytes
            too_much = (i + 1 - head) * lengths[head] * row_bytes > GROUP_BYTES
            if i > head and (forms[i] != forms[head] or padding > PADDING_BYTES or too_much):
                cuts.append(i)
                padding = 0
        return [*cuts, len(lengths)] if first < len(lengths) else []

    def _tokens(self, first: int, end: int) -> slice:
        return slice(int(self.ends[first] - self.count[first]), int(self.ends[end - 1]))

    def _group(self, first: int, end: int) -> Group:
        """One group of the entries from `first` to `end`."""
        stop = (self.start + self.count)[first:end]
        num_new, size = int(self.count[first]), end - first
        if self.form[first] == CacheForm.KV:
            block_size = self.storage.shape.block_size
            num_blocks = -(-int(stop.max()) // block_size)
            length = num_blocks * block_size
            of_kv = {"blocks": self.tensor(np.maximum(self.table[first:end, :num_blocks], 0).ravel())}
            return Group(self._tokens(first, end), size, num_new, length, self._visible(first, end, length), **of_kv)
        length = int(stop.max())
        owner = np.repeat(np.arange(size), stop)
        positions = np.arange(len(owner)) - (stop.cumsum() - stop)[owner]
        of_hidden = {
            "pieces": self.tensor(self.storage.piece_indices(self.table[first:end], owner, positions)),
            "positions": self.tensor(positions),
            "rows": None if len(owner) == size * length else self.tensor(owner * length + positions),
        }
        return Group(self._tokens(first, end), size, num_new, length, self._visible(first, end, length), **of_hidden)

    def _visible(self, first: int, end: int, length: int) -> torch.Tensor:
        until = self.start[first:end, None] + np.arange(int(self.count[first]))  # the position of each new token
        return self.tensor((np.arange(length) <= until[:, :, None])[:, None])
