"""Torch's own threads, on which compiled loops run too: threads of their own would get in the way of these."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Any

import numpy as np
import torch

from aptsched.support.compiled import is_fast

THREADS_LIBRARY = "libgomp.so.1"  # GNU's OpenMP, which torch is built with on Linux


@cache
def has_team() -> bool:
    """Whether loops can be compiled, and torch's threads be had."""
    return is_fast() and hasattr(os, "RTLD_NOLOAD") and _loaded() is not None


def run(address: int, *arguments: np.ndarray[Any, Any] | torch.Tensor, threads: int) -> None:
    """Call a function of pointers, [n], in each of so many threads, itself in one of them, and wait for all.

    Parameters
    ----------
    address : int
        That of a function compiled by `numba.cfunc`, which asks `omp_get_thread_num` for its share of the work.
    arguments : arrays and tensors
        Whose first elements it is given the addresses of.
    threads : int
    """
    given = (each.data_ptr() if isinstance(each, torch.Tensor) else each.ctypes.data for each in arguments)
    pointers = (ctypes.c_void_p * len(arguments))(*given)
    library = _loaded()
    assert library is not None
    library.GOMP_parallel(ctypes.c_void_p(address), pointers, threads, 0)


@cache
def _loaded() -> ctypes.CDLL | None:
    """The library that torch has loaded, whose names compiled functions then know too; None if it has another."""
    try:
        library = ctypes.CDLL(THREADS_LIBRARY, mode=os.RTLD_NOLOAD)
    except OSError:
        return None
    library.GOMP_parallel.restype = None
    return library


@cache
def name_in_loops(name: str) -> None:
    """Let compiled functions call one of the library's by this name."""
    import llvmlite.binding

    llvmlite.binding.add_symbol(name, ctypes.cast(getattr(_loaded(), name), ctypes.c_void_p).value)
