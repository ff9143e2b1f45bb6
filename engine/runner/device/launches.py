"""How operations come to a device: at once or beside others, one by one or recorded; and the memory that it reads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

Launch = Callable[[], torch.Tensor]  # launches operations, and gives the tensor that they write


class Launches(Protocol):
    """What of a device is not in its tensors: streams, graphs, and pinned memory of the host.

    Attributes
    ----------
    records : bool
        Whether operations that come again and again are recorded, and then launched as one.
    """

    records: bool

    def host_memory(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Memory of the host, of any content, that copies to and from the device go to without waiting."""
        ...

    def host_bytes(self, count: int) -> tuple[npt.NDArray[np.uint8], torch.Tensor]:
        """The same for so many bytes, [count]: as an array, and as a tensor of the same memory."""
        ...

    def beside(self, *read: torch.Tensor) -> AbstractContextManager[None]:
        """What is launched within comes after all before it, and runs beside what is launched after it.

        `read` are tensors made before and read within; their memory is not used again before that is done.
        """
        ...

    def join(self) -> None:
        """What is launched from now on comes after what was launched beside."""
        ...

    def record(self, launch: Launch) -> Launch:
        """Record what a call launches, without running it; the function returned runs it, on the same memory.

        All that changes between runs has to lie in tensors that were there before. The result of a run is overwritten
        by the next run of anything recorded.
        """
        ...

    def wait(self) -> None:
        """Return when all that was launched is done."""
        ...


class PlainLaunches:
    """`Launches` where operations are done when their call returns, as on a CPU."""

    records = False

    def host_memory(self, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """Any memory; its pages are allocated when they are first used."""
        return torch.empty(shape, dtype=dtype)

    def host_bytes(self, count: int) -> tuple[npt.NDArray[np.uint8], torch.Tensor]:
        """Any memory."""
        found = np.empty(count, np.uint8)
        return found, torch.from_numpy(found)

    def beside(self, *read: torch.Tensor) -> AbstractContextManager[None]:
        """Nothing runs beside anything."""
        return nullcontext()

    def join(self) -> None:
        """Everything is done."""

    def record(self, launch: Launch) -> Launch:
        """The call itself."""
        return launch

    def wait(self) -> None:
        """Everything is done."""


def launches_for(device: torch.device) -> Launches:
    """Those of a device."""
    if device.type != "cuda":
        return PlainLaunches()
    from engine.runner.device.cuda_launches import CudaLaunches

    return CudaLaunches(device)
