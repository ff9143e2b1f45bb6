"""Memory that an iteration reads into, one group of requests after the other."""

from __future__ import annotations

import torch


class Scratch:
    """Rows of so many values, as many as were ever needed at once; finite as long as only finite values are written.

    Parameters
    ----------
    row : int
        Values of a row.
    dtype, device
    """

    def __init__(self, row: int, dtype: torch.dtype, device: torch.device) -> None:
        self.all_rows = torch.zeros(0, row, dtype=dtype, device=device)

    def rows(self, count: int) -> torch.Tensor:
        """The first rows, [count, row], with their last content."""
        if count > len(self.all_rows):
            self.all_rows = self.all_rows.new_zeros(count, self.all_rows.shape[1])
        return self.all_rows[:count]

    def values(self, count: int) -> torch.Tensor:
        """The first values, [count], of as many rows as that takes."""
        return self.rows(-(-count // self.all_rows.shape[1])).flatten()[:count]
