"""Reads the tensors of a checkpoint's files one at a time: safetensors, and files of torch.save."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aptsched.support import files
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

SAFETENSORS, PICKLED = ".safetensors", ".bin"
ARCHIVE = b"PK\x03\x04"  # how a zip file begins
DTYPES = ("F32", "F16", "BF16")
NAME_OF_DTYPE = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


@dataclass(frozen=True)
class Stored:
    """A tensor in a file: its place, name, shape and dtype."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: str


def tensors_of(path: Path) -> Iterator[Stored]:
    """All tensors of a file, read by its suffix: .safetensors, or .bin by torch.load.

    Raises
    ------
    InputError
        The file is cut off, damaged, or has anything other than tensors; code in it is never run.
    """
    if path.suffix == PICKLED:
        yield from _pickled(path)
        return
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  # it is no mapping
                tensor = file.get_slice(name)
                yield Stored(path, name, tuple(tensor.get_shape()), tensor.get_dtype())
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error})") from error


def read_tensor(stored: Stored) -> torch.Tensor:
    """The tensor, mapped from its file.

    The file is opened anew each time: pages that a mapping has touched count as resident until it is closed.
    """
    if stored.path.suffix == PICKLED:
        tensor: torch.Tensor = _unpickled(stored.path)[stored.name].detach()
        return tensor
    from safetensors import safe_open

    with safe_open(stored.path, framework="pt") as file:
        tensor = file.get_tensor(stored.name)
    return tensor


def _pickled(path: Path) -> Iterator[Stored]:
    for name, tensor in _unpickled(path).items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise InputError(f"{path}: {shown(name)}: {type(tensor).__name__} is not accepted; tensors by name are")
        is_plain = tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not is_plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise InputError(f"{path}: {shown(name)}: not all of its values are in the file, which is needed")
        yield Stored(path, name, tuple(tensor.shape), NAME_OF_DTYPE.get(tensor.dtype, str(tensor.dtype)))


def _unpickled(path: Path) -> Mapping[Any, Any]:
    with files.reading(path) as file:
        if file.read(len(ARCHIVE)) != ARCHIVE:
            raise InputError(f"{path}: not a file as torch.save writes it since torch 1.6, which is needed")
    try:
        with warnings.catch_warnings(action="ignore"):  # about damage, which raises an error anyway
            content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # damaged files raise errors of any class
        raise InputError(f"{path}: not a whole file of tensors alone ({_reason(error)})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: {type(content).__name__} is not accepted; tensors by name are")
    return content


def _reason(error: Exception) -> str:
    """Torch's message of many lines in one line, without its advice."""
    lines = [line.strip().partition(". Please")[0] for line in str(error).splitlines()]
    of_unpickler = [
        line.partition("WeightsUnpickler error: ")[2] for line in lines if "WeightsUnpickler error: " in line
    ]
    reason = f"{type(error).__name__}: {next(iter([*of_unpickler, *filter(None, lines)]), '')}"
    return reason if len(reason) <= 160 else f"{reason[:157]}..."
