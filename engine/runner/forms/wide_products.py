"""Batched matrix products whose results are not rounded to 16 bits."""

from __future__ import annotations

import torch


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the results: fp32 for 16 bits, and otherwise the same."""
    return torch.float32 if dtype.itemsize == 2 else dtype


def wide_bmm(rows: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """The products, [b, n, out] and wide, of rows, [b, n, in], in the same dtype or wide, and matrices, [b, in, out].

    With CUDA 16-bit matrices stay as they are: wide rows are two 16-bit terms each, and take part as twice as many
    rows. Few rows are read for long matrices, whose bytes are what takes time. On a CPU the matrices are converted.
    """
    dtype = wide(matrices.dtype)
    if matrices.dtype == dtype:
        return torch.bmm(rows, matrices)
    if matrices.device.type == "cpu":
        return torch.bmm(rows.to(dtype), matrices.to(dtype))
    if rows.dtype == matrices.dtype:
        return torch.bmm(rows, matrices, out_dtype=dtype)
    terms = torch.bmm(two_terms(rows, matrices.dtype), matrices, out_dtype=dtype)
    return terms[:, : rows.shape[1]] + terms[:, rows.shape[1] :]


def two_terms(rows: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Rows in 16 bits, [b, 2 n, in], and after them what that rounds off, so that both together are about `rows`."""
    high = rows.to(dtype)
    return torch.cat((high, (rows - high).to(dtype)), dim=1)
