"""Decodes as one launch: an iteration is recorded once for each padded size, and replayed on the memory that it reads.

What is recorded of an iteration depends on the shapes of its arrays alone, so these are padded: with decodes that
belong to nobody, of one token in a block that no request has, and with columns of the block table that are not read.
Source: as vLLM and others record decodes by padded batch size; one recording more for each mix of forms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import replace

import numpy as np
import torch

from aptsched.support.checks import Ints
from engine.runner.device.launches import Launch, Launches
from engine.runner.device.upload import Upload
from engine.state.batch import Batch
from engine.state.request import Request

STEP = 8  # numbers of decodes from this one on are padded to its multiples, lower ones to powers of two
LEAST_WIDTH = 16  # columns of a block table; larger ones are padded to powers of two
MOST = 128  # recordings, each of which takes memory of the host and the device
DRAW_BYTES, MORE_BYTES = 64, 256  # at least those of a draw's parameters and of its place; and of gaps between arrays
Key = tuple[tuple[tuple[int, int], ...], int]  # forms with their padded numbers of decodes; width of the block table

NOBODY = Request(-1, 0.0, 2, prompt_token_ids=np.zeros(2, np.int64))  # whose first token is cached


class RecordedDecodes:
    """The recordings of an executor.

    Parameters
    ----------
    launches : Launches
    upload : Upload
        What brings an iteration's arrays to the device.
    forms : container of int
        The forms that kernels write and read.
    spare_block : int
        The block that decodes of nobody are written to.
    """

    def __init__(self, launches: Launches, upload: Upload, forms: Container[int], spare_block: int) -> None:
        self.launches, self.upload, self.forms, self.spare_block = launches, upload, forms, spare_block
        self._memory: dict[Key, torch.Tensor] = {}  # that the arrays of an iteration lie in
        self._replays: dict[Key, tuple[int, Launch]] = {}  # and the bytes of the arrays of its layout

    def begin(self, batch: Batch) -> tuple[Batch, Key | None]:
        """The batch that is to be laid out: padded, where it is decodes alone; None where it is not recorded.

        Entries that were added come last, and sample as well. The arrays that are put next lie where they lay when the
        iteration was recorded.
        """
        if not self._is_recordable(batch):
            return batch, None
        counts = Counter(batch.form.tolist())
        key = tuple((form, padded(counts[form])) for form in sorted(counts)), padded_width(batch.block_table.shape[1])
        if key not in self._memory:
            if len(self._memory) == MOST:
                return batch, None
            self._memory[key] = self._memory_for(key, sum(count for _, count in key[0]) * (16 * key[1] + 512))
        self.upload.into(self._memory[key])
        missing = [form for form, count in key[0] for _ in range(count - counts[form])]
        return _padded(batch, np.array(missing, np.int64), key[1], self.spare_block), key

    def _is_recordable(self, batch: Batch) -> bool:
        """Whether it is decodes by kernels and nothing else."""
        if not self.launches.records or batch.conversions or batch.num_swapped_blocks or not len(batch.form):
            return False
        are_decodes = bool((batch.feeds_one & (batch.start > 0) & batch.samples).all())
        return are_decodes and all(form in self.forms for form in set(batch.form.tolist()))

    def _memory_for(self, key: Key, num_bytes: int) -> torch.Tensor:
        """Memory for a layout of so many bytes, and for the draws that it may have."""
        num_bytes += DRAW_BYTES * sum(count for _, count in key[0]) + MORE_BYTES
        return torch.empty(num_bytes, dtype=torch.uint8, device=self.upload.device)

    def run(self, key: Key | None, num_bytes: int, launch: Launch) -> torch.Tensor:
        """What a call launches: as it stands the first time, when it is recorded too, and then replayed.

        `num_bytes` are those of the arrays of its layout; where they are more than was thought, it is recorded the next
        time. The result is overwritten by the next one.
        """
        if key in self._replays:
            recorded, replay = self._replays[key]
            assert num_bytes == recorded, "what is replayed reads its arrays where they were"
            return replay()
        found = launch()
        if key is not None and num_bytes <= len(self._memory[key]):
            self._replays[key] = num_bytes, self.launches.record(launch)
        elif key is not None:
            self._memory[key] = self._memory_for(key, num_bytes)
        return found


def padded(count: int) -> int:
    """The number of decodes that so many are padded to."""
    return -(-count // STEP) * STEP if count > STEP else 1 << (count - 1).bit_length()


def padded_width(width: int) -> int:
    """The columns that a block table of so many is padded to."""
    return max(LEAST_WIDTH, 1 << (width - 1).bit_length())


def _padded(batch: Batch, form: Ints, width: int, spare_block: int) -> Batch:
    """The batch with decodes of nobody in these forms, [n], behind its own, and a block table of so many columns."""
    count, (size, own) = len(form), batch.block_table.shape
    table = np.full((size + count, width), -1)
    table[:size, :own], table[size:, 0] = batch.block_table, spare_block
    return replace(
        batch,
        requests=[*batch.requests, *[NOBODY] * count],
        start=np.append(batch.start, np.ones(count, np.int64)),
        num_tokens=np.append(batch.num_tokens, np.ones(count, np.int64)),
        form=np.append(batch.form, form),
        block_table=table,
        samples=np.append(batch.samples, np.ones(count, np.bool_)),
    )
