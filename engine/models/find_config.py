"""The sizes of a model by its name, or from a config.json."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aptsched.support.errors import InputError
from aptsched.support.shown import WORD_CHARS, shown
from engine.models.config import ModelConfig
from engine.models.faults import located
from engine.models.json_object import is_directory, read_json
from engine.models.known_models import MODELS


def find_config(name_or_path: str) -> ModelConfig:
    """The model of that name, or the one that a config.json describes: that file, or one in that directory.

    A model that the engine runs is as `load_config` reads it. A name counts before a path; `./NAME` is a path.

    Raises
    ------
    InputError
        There is no such model, and the message lists the names; or its cost cannot be computed, and it says why.
    """
    known = MODELS.get(name_or_path.lower())
    if known is not None:
        return known
    path = Path(name_or_path)
    if name_or_path and is_directory(path):
        path /= "config.json"
    elif not os.path.lexists(path) or not name_or_path:
        raise InputError(
            f"model: {shown(name_or_path, WORD_CHARS)} is not known, and no file is called so; "
            f"{', '.join(MODELS)}, a config.json or a directory with one are accepted"
        )
    content = read_json(path)
    name = path.resolve().parent.name if path.name == "config.json" else path.stem
    with located(path):
        return _read(content, path, shown(name)[1:-1])


def _read(content: Mapping[str, Any], path: Path, name: str) -> ModelConfig:
    """The full configuration if the engine runs the model, else its sizes."""
    from engine.models.hf_config import from_hf, load_config
    from engine.models.hf_sizes import sizes_from_hf

    sizes = sizes_from_hf(content, name)
    try:
        config = load_config(path.parent) if path.name == "config.json" else from_hf(content)
    except InputError:
        return sizes
    return dataclasses.replace(config, name=name, notices=sizes.notices)
