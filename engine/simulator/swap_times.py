"""How long swaps take on a computed clock: by bytes alone, as copies of single blocks, or as FastSwitch makes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from aptsched.support import checks
from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.state.batch import Batch, Copies
from engine.state.request import Request

SWAPS = {
    "bytes": "by their bytes alone",
    "blocks": "as a copy of each block, as in vLLM 0.3",
    "grouped": "in coarse groups beside the computing, as FastSwitch makes them",
}  # how they are made, in words
BYTES, BLOCKS, GROUPED = SWAPS
COPIES_PER_LAYER = (
    2  # K and V of a layer are apart: Llama-8B with 32 layers has 64 tensors in vLLM (pull request 38460)
)
MAX_GROUP_BLOCKS = 64  # 1,024 tokens; assumed


def check_swap(given: str) -> None:
    """Raises InputError unless it is one of `SWAPS`."""
    if given not in SWAPS:
        raise InputError(f"swap: {shown(given)} is not accepted; {', '.join(SWAPS)} are")


class SwapTime(Protocol):
    """Says how long an iteration lasts that swaps and computes."""

    def seconds(self, batch: Batch, compute_s: float) -> float:
        """Seconds of the iteration, where all but the swaps takes `compute_s`."""
        ...


@dataclass(frozen=True)
class CopyTime:
    """Seconds of copies between GPU and host.

    Parameters
    ----------
    s_per_block : float
        For the bytes of a block.
    launch_s : float
        To launch the copies of one piece, a run of blocks that lie together: `COPIES_PER_LAYER` in each layer.
    """

    s_per_block: float
    launch_s: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            checks.seconds(name, value)

    def seconds(self, num_blocks: int, num_pieces: int) -> float:
        """Seconds of so many blocks in so many pieces."""
        return self.s_per_block * num_blocks + self.launch_s * num_pieces


@dataclass(frozen=True)
class BlockSwaps:
    """Every block is a piece of its own, and nothing is computed until all are copied, as in vLLM 0.3.

    Parameters
    ----------
    copy_time : CopyTime
    """

    copy_time: CopyTime

    def seconds(self, batch: Batch, compute_s: float) -> float:
        """As `SwapTime.seconds` says."""
        return self.copy_time.seconds(batch.num_swapped_blocks, batch.num_swapped_blocks) + compute_s


def num_groups(num_blocks: int, max_group_blocks: int = MAX_GROUP_BLOCKS) -> int:
    """Groups that a request's blocks lie in: the fewest powers of 2, of up to that many blocks, that add up to them.

    The largest group is the largest power of 2 that is no more than `max_group_blocks`.
    """
    largest = 1 << (max_group_blocks.bit_length() - 1)
    return num_blocks // largest + (num_blocks % largest).bit_count()


@dataclass(frozen=True)
class Copied:
    """What is copied for the swap of one request.

    Attributes
    ----------
    num_blocks, num_pieces : int
    waits : bool
        Whether the batch waits for it.
    """

    num_blocks: int
    num_pieces: int
    waits: bool


@dataclass(eq=False)
class GroupedSwaps:
    """Blocks in coarse groups, copies beside the computing, and copies on the host that are kept, as in FastSwitch.

    The blocks of a request lie in groups (`num_groups`), each a piece. The batch waits for the requests that are
    swapped in and run in it, and for those swapped out whose blocks it uses; all other copies go on while it computes,
    and the iteration ends when both are done. A request that is swapped in leaves its copy on the host as long as there
    is room: when it is swapped out again, only blocks that have come since are copied, and the last one before, which
    may have been filled. Where the host is short, the copies that were kept for longest go first.

    Parameters
    ----------
    copy_time : CopyTime
    num_host_blocks : int
    max_group_blocks : int

    Notes
    -----
    Source: Shen, Li and Gao, FastSwitch (arXiv 2411.18424), as its abstract and summaries tell: block groups by a buddy
    allocator, copies by threads of their own, copies kept from earlier turns of a conversation. Assumed: the sizes of
    the groups; that no copy goes on into a further iteration. Turns of a conversation are requests of their own here,
    which share no cache: copies are kept within a request alone. What swaps left on the host of requests that have
    ended takes room until it is the oldest.
    """

    copy_time: CopyTime
    num_host_blocks: int
    max_group_blocks: int = MAX_GROUP_BLOCKS
    _away: dict[Request, int] = field(default_factory=dict)  # blocks on the host of requests that are swapped out
    _kept: dict[Request, int] = field(default_factory=dict)  # of requests that were swapped in, the oldest first

    def seconds(self, batch: Batch, compute_s: float) -> float:
        """As `SwapTime.seconds` says."""
        self._forget(batch)
        if not batch.num_swapped_blocks:
            return compute_s
        waited_s = beside_s = 0.0
        for copied in self.copied(batch):
            took_s = self.copy_time.seconds(copied.num_blocks, copied.num_pieces)
            waited_s, beside_s = (waited_s + took_s, beside_s) if copied.waits else (waited_s, beside_s + took_s)
        return waited_s + max(compute_s, beside_s)

    def copied(self, batch: Batch) -> list[Copied]:
        """What is copied for each swap of the batch, those to the host first. It is on the host from then on."""
        used = np.concatenate([batch.block_table.ravel(), *(made.target_blocks for made in batch.conversions)])
        out = [self._out(*swap) for swap in _swaps(batch.swap_out, np.isin(batch.swap_out.source, used))]
        return out + [self._back(*swap) for swap in _swaps(batch.swap_in, np.isin(batch.swap_in.target, used))]

    def _out(self, request: Request, num_blocks: int, waits: bool) -> Copied:
        """A request leaves for the host: what its copy there lacks is copied."""
        more = num_blocks - min(self._kept.pop(request, 0), num_blocks)
        self._away[request] = num_blocks
        while self._kept and sum(self._away.values()) + sum(self._kept.values()) > self.num_host_blocks:
            del self._kept[next(iter(self._kept))]
        return Copied(more, num_groups(more, self.max_group_blocks), waits)

    def _back(self, request: Request, num_blocks: int, waits: bool) -> Copied:
        """A request comes back, and all of its blocks but the last stay on the host as well."""
        self._away.pop(request, None)
        if num_blocks > 1:
            self._kept[request] = num_blocks - 1
        return Copied(num_blocks, num_groups(num_blocks, self.max_group_blocks), waits)

    def _forget(self, batch: Batch) -> None:
        """Forgets the copies of requests whose cache is computed anew or converted by the batch."""
        if not self._kept and not self._away:
            return
        anew = [batch.requests[i] for i in np.flatnonzero(batch.start == 0).tolist()]
        for request in (*anew, *(made.request for made in batch.conversions)):
            self._kept.pop(request, None)
            self._away.pop(request, None)


def _swaps(copies: Copies, used: np.typing.NDArray[np.bool_]) -> Iterator[tuple[Request, int, bool]]:
    """Each request that is swapped, its blocks, and whether any of them, of all blocks [c], is used by the batch."""
    ends: Ints = copies.num_blocks.cumsum()
    counts = np.concatenate([[0], used.cumsum()])
    waits = counts[ends] > counts[ends - copies.num_blocks]
    return zip(copies.requests, copies.num_blocks.tolist(), waits.tolist(), strict=True)
