"""Models from a Hugging Face directory: config.json and safetensors, whole or in shards."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aptsched import files
from aptsched.errors import InputError
from engine.models.assemble import Shape, assemble, tensor_shapes, with_equal_head, with_stored_head
from engine.models.config import ModelConfig
from engine.models.faults import listed, located
from engine.models.hf_config import from_hf, token_ids
from engine.models.hf_fields import generation_notices
from engine.models.weights import Weights

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
PREFIXES = {"opt": ("model.decoder.", "decoder.", "model."), "llama": ("model.",)}
DTYPES = ("F32", "F16", "BF16")
NOT_NEEDED = ("rotary_emb.inv_freq", "version")  # buffers that older checkpoints have


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies, and what it is."""

    path: Path
    name: str
    shape: Shape
    dtype: str


def load(
    directory: str | os.PathLike[str], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> tuple[ModelConfig, Weights]:
    """The model in a directory as `save_pretrained` writes it.

    Tensors are mapped from the files and copied one at a time, so that memory holds one copy of the weights. A stored
    output matrix counts, whatever `tie_word_embeddings` says; one that equals the embedding is held once.

    Raises
    ------
    InputError
        A file that is missing, cut off or not what its name says; a model that is not supported; tensors that are
        missing, unknown, or of another shape or dtype than the configuration says: file, tensor, found, needed.
    """
    config = load_config(directory)
    stored = _stored(Path(directory), config)
    config = with_stored_head(config, stored)
    _check(config, stored, Path(directory))

    def read(name: str, shape: Shape) -> torch.Tensor:
        return _tensor(stored[name])

    config = with_equal_head(config, read, dtype)
    return config, assemble(config, read, dtype, device)


def load_config(directory: str | os.PathLike[str]) -> ModelConfig:
    """The configuration, with the end-of-text tokens of generation_config.json where there are any."""
    path, generation = Path(directory) / "config.json", Path(directory) / "generation_config.json"
    content = read_json(path)
    with located(path):
        config = from_hf(content, name=Path(directory).resolve().name)
    if not generation.exists():
        return config
    content = read_json(generation)
    with located(generation):
        eos = token_ids("eos_token_id", content.get("eos_token_id"))
    notices = (*config.notices, *generation_notices(content))
    return dataclasses.replace(config, eos_token_ids=eos or config.eos_token_ids, notices=notices)


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file."""
    text = files.read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: {type(content).__name__} is not accepted; a JSON object is")
    return content


def _stored(directory: Path, config: ModelConfig) -> dict[str, Stored]:
    """All tensors of the files by name, without the prefix of the architecture."""
    return {
        _canonical(tensor.name, config.architecture): tensor for path in _paths(directory) for tensor in _headers(path)
    }


def _paths(directory: Path) -> list[Path]:
    if (directory / WHOLE).exists():
        return [directory / WHOLE]
    index = directory / INDEX
    if not index.exists():
        raise InputError(f"{directory}: there is no {WHOLE} and no {INDEX}; one of them is needed")
    shard_of = read_json(index).get("weight_map")
    if not isinstance(shard_of, dict) or not all(isinstance(name, str) for name in shard_of.values()) or not shard_of:
        raise InputError(f"{index}: weight_map: not an object of tensor names and file names, which is needed")
    names = sorted(set(shard_of.values()))
    absent = [name for name in names if not (directory / name).is_file()]
    if absent:
        raise InputError(f"{index}: {listed(absent)}: not in {directory}; all shards that the index names are needed")
    return [directory / name for name in names]


def _headers(path: Path) -> Iterator[Stored]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  # it is no mapping
                tensor = file.get_slice(name)
                yield Stored(path, name, tuple(tensor.get_shape()), tensor.get_dtype())
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({error})") from error


def _tensor(stored: Stored) -> torch.Tensor:
    from safetensors import safe_open

    # Opened anew each time: pages that a mapping has touched count as resident until it is closed.
    with safe_open(stored.path, framework="pt") as file:
        tensor: torch.Tensor = file.get_tensor(stored.name)
    return tensor


def _canonical(name: str, architecture: str) -> str:
    prefix = next((prefix for prefix in PREFIXES[architecture] if name.startswith(prefix)), "")
    return name.removeprefix(prefix)


def _check(config: ModelConfig, stored: Mapping[str, Stored], directory: Path) -> None:
    needed = tensor_shapes(config)
    faults = [fault for name, shape in needed.items() for fault in _faults(name, shape, stored, directory)]
    faults += [
        f"{tensor.path}: {tensor.name}: not a tensor of this configuration"
        for name, tensor in stored.items()
        if name not in needed and not name.endswith(NOT_NEEDED)
    ]
    if faults:
        raise InputError(listed(faults, "; "))


def _faults(name: str, shape: Shape, stored: Mapping[str, Stored], directory: Path) -> Iterator[str]:
    tensor = stored.get(name)
    if tensor is None:
        yield f"{directory}: {name}: the tensor is missing; shape {list(shape)} is needed"
    elif tensor.shape != shape:
        yield f"{tensor.path}: {tensor.name}: shape {list(tensor.shape)} is not accepted; {list(shape)} is needed"
    elif tensor.dtype not in DTYPES:
        yield f"{tensor.path}: {tensor.name}: dtype {tensor.dtype} is not supported; {', '.join(DTYPES)} are"
