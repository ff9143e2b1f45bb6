"""Blocks that go between device and host: gathered on the device, and one copy for blocks that lie together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from aptsched.support.checks import Ints
from engine.runner.device.launches import Launches
from engine.runner.device.upload import Put
from engine.state.batch import Batch

GATHERED_BYTES = 2**28  # most bytes of a copy, which takes as much memory of the device while it lasts


class Swaps:
    """The blocks of a device, and those of the host beside it.

    Parameters
    ----------
    blocks : tensor, [num_layers, num_blocks, values]
        On the device.
    host : tensor, [num_host_blocks, num_layers, values]
    put : Put
        From the numbers of blocks to a tensor on the device.
    launches : Launches
    """

    def __init__(self, blocks: torch.Tensor, host: torch.Tensor, put: Put, launches: Launches) -> None:
        self.blocks, self.host, self.put, self.launches = blocks, host, put, launches
        self._is_gathered = blocks.device != host.device
        self._at_once = max(1, GATHERED_BYTES // max(1, blocks[:, :1].nbytes))

    def of(self, batch: Batch) -> Iterator[Callable[[], None]]:
        """Calls that make the copies of a batch, those to the host first, once its numbers are on the device."""
        for ours, host in self._parts(batch.swap_out.source, batch.swap_out.target):
            yield partial(self._out, self.put(ours), host)
        for ours, host in self._parts(batch.swap_in.target, batch.swap_in.source):
            yield partial(self._back, self.put(ours), host)

    def _parts(self, ours: Ints, host: Ints) -> Iterator[tuple[Ints, slice]]:
        """Blocks of the device for each run of consecutive blocks of the host."""
        if not len(host):  # as in nearly every iteration
            return
        order = np.argsort(host)
        ours, host = ours[order], host[order]
        for run in np.split(np.arange(len(host)), np.flatnonzero(np.diff(host) != 1) + 1):
            for first in range(0, len(run), self._at_once):
                part = run[first : first + self._at_once]
                yield ours[part], slice(int(host[part[0]]), int(host[part[-1]]) + 1)

    def _out(self, ours: torch.Tensor, host: slice) -> None:
        """The blocks may be overwritten at once by what is launched later."""
        if not self._is_gathered:
            torch.index_select(self.blocks.transpose(0, 1), 0, ours, out=self.host[host])
            return
        gathered = self.blocks.transpose(0, 1).index_select(0, ours)
        with self.launches.beside(gathered):
            self.host[host].copy_(gathered, non_blocking=True)

    def _back(self, ours: torch.Tensor, host: slice) -> None:
        """What is launched later finds the blocks; nothing else waits for them."""
        found = self.host[host]
        if self._is_gathered:
            with self.launches.beside():
                found = torch.empty_like(found, device=self.blocks.device).copy_(found, non_blocking=True)
            self.launches.join()
        self.blocks.index_copy_(1, ours, found.transpose(0, 1))
