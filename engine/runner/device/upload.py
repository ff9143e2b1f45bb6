"""The numbers that an iteration brings to the device, in one copy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from engine.runner.device.launches import Launches

Array = npt.NDArray[np.generic]

LEAST_BYTES = 2**16  # of the first buffer
ALIGNMENT = 16  # bytes, at which every array begins


Put = Callable[[Array], torch.Tensor]  # from an array to the tensor that it will be on the device


class Upload:
    """Arrays on their way to a device: each is a tensor there at once, whose content comes with the next `send`.

    All arrays since the last `send` lie in one buffer, in memory of the host that the device copies from, so that one
    copy brings them, and the host does not wait for it. Where they are more than ever before, there is a copy more, and
    the next buffer is larger. On a CPU that does not record tensors are the arrays themselves, and nothing is copied.

    Parameters
    ----------
    device : torch.device
    launches : Launches
        Of the device.
    """

    def __init__(self, device: torch.device, launches: Launches) -> None:
        self.device, self.launches = device, launches
        self.packs = device.type != "cpu" or launches.records
        # Bytes of the next buffer, of this one so far, and of those before it since the last `send`.
        self._capacity, self._used, self._gone = LEAST_BYTES, 0, 0
        self._bytes = np.empty(0, np.uint8)  # those of the buffer on the host
        self._on_host = self._on_device = torch.empty(0, dtype=torch.uint8)

    def put(self, array: Array) -> torch.Tensor:
        """The array on the device; to be used after `send`."""
        array = np.ascontiguousarray(array)
        if not self.packs:
            return torch.from_numpy(array)
        if not array.size:
            return torch.empty(array.shape, dtype=torch.from_numpy(array).dtype, device=self.device)
        end = self._used + array.nbytes
        if end > len(self._bytes):
            self._copy()
            self._open(array.nbytes)
            end = array.nbytes
        self._bytes[self._used : end] = array.reshape(-1).view(np.uint8)
        found = self._on_device[self._used : end].view(torch.from_numpy(array[..., :0]).dtype).view(array.shape)
        self._used = -(-end // ALIGNMENT) * ALIGNMENT
        return found

    @property
    def num_bytes(self) -> int:
        """Bytes of all arrays since the last `send`."""
        return self._gone + self._used

    def into(self, memory: torch.Tensor) -> None:
        """The arrays up to the next `send` lie in this memory of the device, bytes [any], in their order.

        None is on its way now; what does not fit has another copy.
        """
        assert not self.num_bytes, "arrays that were put are sent before others go elsewhere"
        self._bytes, self._on_host = self.launches.host_bytes(len(memory))
        self._on_device = memory

    def _open(self, num_bytes: int) -> None:
        """New buffers, for at least so many bytes; torch keeps the old ones until the copies from them are done."""
        while self._capacity < num_bytes:
            self._capacity *= 2
        self._bytes, self._on_host = self.launches.host_bytes(self._capacity)
        self._on_device = torch.empty(self._capacity, dtype=torch.uint8, device=self.device)

    def send(self) -> None:
        """Copy all arrays since the last call to the device, without waiting for it."""
        self._copy()
        self._bytes, self._gone = self._bytes[:0], 0

    def _copy(self) -> None:
        num_bytes, self._used = self._used, 0
        if num_bytes:
            self._on_device[:num_bytes].copy_(self._on_host[:num_bytes], non_blocking=True)
            self._gone += num_bytes
            if num_bytes > self._capacity // 2:
                self._capacity *= 2
