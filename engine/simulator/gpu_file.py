"""A GPU by its name, or from a TOML file."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from aptsched.support import files
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.simulator.efficiency import Efficiency
from engine.simulator.gpus import GPU, GPUS, RATES

FIELDS = tuple(field.name for field in fields(GPU))
SHARES = tuple(field.name for field in fields(Efficiency))


def find_gpu(name: str) -> GPU:
    """The GPU of that name, or of that file if the name ends with .toml.

    Raises
    ------
    InputError
        There is no such GPU, and the message lists the names; or as in `read_gpu`.
    """
    return read_gpu(name) if name.lower().endswith(".toml") else _named("gpu", name, " or a .toml file")


def read_gpu(path: str | os.PathLike[str]) -> GPU:
    """A GPU from a TOML file with the fields of `GPU`, and those of `Efficiency` in its table `[efficiency]`.

    With `base`, the name of a GPU, what the file does not say is as there; else every peak has to be there. Without a
    `name` it has that of the file.

    Raises
    ------
    InputError
        The file does not describe a GPU: the message names the field, its value and what is accepted.
    """
    try:
        document = tomllib.loads(files.read_text(path))
    except (ValueError, RecursionError) as error:  # no TOML, or nested too deeply, or a number of too many digits
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not TOML ({error}); the fields of a GPU are accepted") from error
    try:
        return _gpu({"name": Path(path).stem, **document})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _gpu(given: Mapping[str, Any]) -> GPU:
    _check_known(given, ("base", *FIELDS))
    named = {name: value for name, value in given.items() if name not in ("base", "efficiency")}
    base = None if "base" not in given else _named("base", given["base"])
    reached = base.efficiency if base else Efficiency()
    if "efficiency" in given:
        shares = given["efficiency"]
        if not isinstance(shares, dict):
            raise InputError(f"efficiency: {shown(shares)} is not accepted; a table is")
        _check_known(shares, SHARES)
        reached = replace(reached, **shares)
    if base is not None:
        return replace(base, **named, efficiency=reached)
    missing = [name for name in RATES if name not in given]
    if missing:
        raise InputError(f"{missing[0]}: it is missing; {', '.join(RATES)}, or a base, are needed")
    return GPU(**named, efficiency=reached)


def _check_known(given: Mapping[str, Any], known: Collection[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise InputError(f"{shown(unknown[0])} is not known; {', '.join(known)} are")


def _named(field: str, name: object, others: str = "") -> GPU:
    gpu = GPUS.get(name.lower()) if isinstance(name, str) else None
    if gpu is None:
        raise InputError(f"{field}: {shown(name)} is not known; {', '.join(GPUS)}{others} are accepted")
    return gpu


def gpu_fields(gpu: GPU) -> dict[str, Any]:
    """The fields of a GPU as results have them; a price only where there is one."""
    return {name: value for name, value in asdict(gpu).items() if value is not None}
