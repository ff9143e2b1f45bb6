"""Streams, graphs and pinned memory of CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from engine.runner.device.launches import Launch


class CudaLaunches:
    """`Launches` with CUDA: a second stream, graphs that share the memory of what they make, and pinned memory.

    Parameters
    ----------
    device : torch.device
    """

    records = True

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._side: torch.cuda.Stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool: Any = None  # of all graphs

    def host_memory(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Pinned, so that copies run at the speed of the bus."""
        return torch.empty(shape, dtype=dtype, pin_memory=shape[0] > 0)

    def host_bytes(self, count: int) -> tuple[npt.NDArray[np.uint8], torch.Tensor]:
        """Pinned; torch keeps it until the copies from it are done."""
        found = self.host_memory((count,), torch.uint8)
        return found.numpy(), found

    @contextmanager
    def beside(self, *read: torch.Tensor) -> Iterator[None]:
        """In the second stream, which first waits for the present one."""
        self._side.wait_stream(torch.cuda.current_stream(self.device))
        for tensor in read:
            tensor.record_stream(self._side)
        with torch.cuda.stream(self._side):
            yield

    def join(self) -> None:
        """The present stream waits for the second one; the host does not."""
        torch.cuda.current_stream(self.device).wait_stream(self._side)

    def record(self, launch: Launch) -> Launch:
        """A graph."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            found = launch()
        self._pool = graph.pool()

        def replay() -> torch.Tensor:
            graph.replay()
            return found

        return replay

    def wait(self) -> None:
        """The host waits for all streams."""
        torch.cuda.synchronize(self.device)
