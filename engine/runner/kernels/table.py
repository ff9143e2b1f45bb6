"""Which forms have kernels, and whether kernels can be used here."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping

import torch

from aptsched.scheduling.forms import CacheForm
from aptsched.support.errors import InputError
from engine.models.decoder import Decoder
from engine.runner.forms.form_blocks import FormBlocks
from engine.runner.forms.hidden import HiddenBlocks
from engine.runner.forms.int8 import Int8Blocks
from engine.runner.forms.kv import KVBlocks
from engine.runner.kernels.form_kernels import FormKernels


def can_run(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether kernels run: with CUDA, or anywhere in Triton's interpreter, in numbers of at most 32 bits."""
    runs = device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
    return runs and dtype.itemsize <= 4 and importlib.util.find_spec("triton") is not None


def form_kernels(decoder: Decoder, forms: Mapping[int, FormBlocks], kernels: bool | None) -> dict[int, FormKernels]:
    """Kernels of the forms that have any, by `CacheForm`; none where they are not wanted.

    Parameters
    ----------
    decoder : Decoder
    forms : mapping of int to FormBlocks
    kernels : bool or None
        Whether they are wanted. None: with CUDA, where Triton is installed.

    Raises
    ------
    InputError
        They are wanted and cannot run.
    """
    runs = can_run(decoder.device, decoder.dtype)
    if kernels and not runs:
        accepted = (
            "False is, as is a GPU with triton installed (pip install aptsched[cuda]) and a dtype of 32 bits or less"
        )
        raise InputError(f"kernels: True is not accepted on {decoder.device.type} in {decoder.dtype}; {accepted}")
    if not kernels and not (kernels is None and runs and decoder.device.type == "cuda"):
        return {}
    from engine.runner.kernels.hidden import HiddenKernels
    from engine.runner.kernels.kv import Int8Kernels, KVKernels

    kv, hidden, int8 = (forms[form] for form in (CacheForm.KV, CacheForm.HIDDEN, CacheForm.INT8))
    assert isinstance(kv, KVBlocks) and isinstance(hidden, HiddenBlocks) and isinstance(int8, Int8Blocks)
    found: dict[int, FormKernels] = {
        CacheForm.KV: KVKernels(decoder.config, kv),
        CacheForm.INT8: Int8Kernels(decoder.config, int8, decoder.dtype),
    }
    if decoder.config.cache_ratio < 1:
        found[CacheForm.HIDDEN] = HiddenKernels(decoder, hidden)
    return found
