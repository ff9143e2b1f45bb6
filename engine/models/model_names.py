"""Compares names of models and devices, from calibrations, options and the list of models."""

from __future__ import annotations

import os

TWIN = " (MHA twin)"
ALIASES = {"smollm2": "smollm2-135m"}  # the model that comes with a package -> the name of its sizes


def model_name(name_or_path: str | os.PathLike[str], expand_kv_heads: bool) -> str:
    """The name of a model in results and calibrations: as it was asked for, with a suffix for an MHA twin."""
    return f"{os.fspath(name_or_path)}{TWIN if expand_kv_heads else ''}"


def same_model(one: str, other: str) -> bool:
    """Whether both names end in the same part of a path, for a model may be reached from several directories."""
    return _last(one) == _last(other)


def is_named_as(model: str, name: str) -> bool:
    """Whether a model's name is, or begins with, this name in any case, as opt-125m-instruct.gguf with opt-125m.

    An MHA twin never is, for its K and V have more heads.
    """
    last = _last(model)
    last = ALIASES.get(last, last)
    name = name.lower()
    behind = last.removeprefix(name)
    return last.startswith(name) and not last.endswith(TWIN.lower()) and (not behind or behind[0] in "-_.")


def same_device(one: str, other: str) -> bool:
    """Whether both are the same device to torch, where a name without a number is the first device."""
    return _numbered(one) == _numbered(other)


def _last(name: str) -> str:
    twin = name.endswith(TWIN)
    path = os.path.normpath(name.removesuffix(TWIN)).replace("\\", "/")
    return path.rpartition("/")[2].lower() + (TWIN.lower() if twin else "")


def _numbered(device: str) -> str:
    return device if ":" in device or device == "cpu" else f"{device}:0"
