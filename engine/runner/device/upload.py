"""The numbers that an iteration brings to the device, in one copy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

Array = npt.NDArray[np.generic]

LEAST_BYTES = 2**16  # of the first buffer
ALIGNMENT = 16  # bytes, at which every array begins


Put = Callable[[Array], torch.Tensor]  # from an array to the tensor that it will be on the device


class Upload:
    """Arrays on their way to a device: each is a tensor there at once, whose content comes with the next `send`.

    All arrays since the last `send` lie in one buffer, in pinned memory where the device is reached from it, so that
    one copy brings them, and the host does not wait for it. Where they are more than ever before, there is a copy
    more, and the next buffer is larger. On a CPU tensors are the arrays themselves, and nothing is copied.

    Parameters
    ----------
    device : torch.device
    packs : bool, optional
        Whether arrays are packed in a buffer; by default where the device is no CPU.
    """

    def __init__(self, device: torch.device, packs: bool | None = None) -> None:
        self.device, self.packs = device, device.type != "cpu" if packs is None else packs
        self._capacity, self._used = LEAST_BYTES, 0
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
            self.send()
            self._open(array.nbytes)
            end = array.nbytes
        self._bytes[self._used : end] = array.reshape(-1).view(np.uint8)
        found = self._on_device[self._used : end].view(torch.from_numpy(array[..., :0]).dtype).view(array.shape)
        self._used = -(-end // ALIGNMENT) * ALIGNMENT
        return found

    def _open(self, num_bytes: int) -> None:
        """New buffers, for at least so many bytes; torch keeps the old ones until the copies from them are done."""
        while self._capacity < num_bytes:
            self._capacity *= 2
        if self.device.type == "cuda":
            self._on_host = torch.empty(self._capacity, dtype=torch.uint8, pin_memory=True)
            self._bytes = self._on_host.numpy()
        else:
            self._bytes = np.empty(self._capacity, np.uint8)
            self._on_host = torch.from_numpy(self._bytes)
        self._on_device = torch.empty(self._capacity, dtype=torch.uint8, device=self.device)

    def send(self) -> None:
        """Copy all arrays since the last call to the device, without waiting for it."""
        if not self._used:
            return
        self._on_device[: self._used].copy_(self._on_host[: self._used], non_blocking=True)
        if self._used > self._capacity // 2:
            self._capacity *= 2
        self._bytes, self._used = self._bytes[:0], 0
