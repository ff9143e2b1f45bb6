"""Models from a Hugging Face directory: config.json, and safetensors or pytorch_model.bin, whole or in shards."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.architecture import OPT
from engine.models.assemble import Shape, assemble, tensor_shapes, with_equal_head, with_stored_head
from engine.models.config import ModelConfig
from engine.models.faults import listed
from engine.models.hf_config import load_config
from engine.models.rope import is_inverse_frequencies
from engine.models.tensor_files import DTYPES, Stored, read_tensor, tensors_of
from engine.models.weight_files import unread, weight_files
from engine.models.weights import Weights

PREFIXES = {"opt": ("model.decoder.", "decoder.", "model."), "llama": ("model.",)}
INVERSE_FREQUENCIES = "rotary_emb.inv_freq"  # of RoPE, in checkpoints of older versions
FAIRSEQ_VERSION = "version"  # of OPT's decoder


def load(
    directory: str | os.PathLike[str], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> tuple[ModelConfig, Weights]:
    """The model in a directory as `save_pretrained` writes it, or as it is on the hub with pytorch_model.bin.

    Tensors are mapped from the files and copied one at a time, so that memory holds one copy of the weights. A stored
    output matrix is used, whatever `tie_word_embeddings` says; one that equals the embedding is held once.

    Raises
    ------
    InputError
        A file is missing, cut off or not what its name says; the model is not supported; tensors are missing, unknown,
        or of another shape or dtype than the configuration says: file, tensor, found, needed.
    """
    config = load_config(directory)
    stored, notices = _stored(Path(directory), config)
    config = dataclasses.replace(with_stored_head(config, stored), notices=(*config.notices, *notices))
    _check(config, stored, Path(directory))

    def read(name: str, shape: Shape) -> torch.Tensor:
        return read_tensor(stored[name])

    config = with_equal_head(config, read, dtype)
    return config, assemble(config, read, dtype, device)


def _stored(directory: Path, config: ModelConfig) -> tuple[dict[str, Stored], tuple[str, ...]]:
    """All tensors of the files by name, without the architecture's prefix; and notices about other files."""
    paths, promised = weight_files(directory)
    tensors = [tensor for path in paths for tensor in tensors_of(path)]
    absent = sorted(promised - {tensor.name for tensor in tensors})
    if absent:
        raise InputError(f"{directory}: weight_map: {listed(absent)}: in none of the files that the index names")
    stored: dict[str, Stored] = {}
    for tensor in tensors:
        other = stored.setdefault(_canonical(tensor.name, config.architecture.name), tensor)
        if other is not tensor:
            raise InputError(
                f"{tensor.path}: {shown(tensor.name)}: also {shown(other.name)} in {other.path.name}; one is accepted"
            )
    return stored, unread(directory, paths)


def _canonical(name: str, architecture: str) -> str:
    prefix = next((prefix for prefix in PREFIXES[architecture] if name.startswith(prefix)), "")
    return name.removeprefix(prefix)


def _check(config: ModelConfig, stored: Mapping[str, Stored], directory: Path) -> None:
    needed = tensor_shapes(config)
    faults = [fault for name, shape in needed.items() for fault in _faults(name, shape, stored, directory)]
    faults += [
        f"{tensor.path}: {shown(tensor.name)[1:-1]}: {fault}"
        for name, tensor in stored.items()
        if name not in needed and (fault := _fault_beside(config, name, tensor))
    ]
    if faults:
        raise InputError(listed(faults, "; "))


def _fault_beside(config: ModelConfig, name: str, tensor: Stored) -> str:
    """What is wrong with a tensor that the model does not have; empty where the tensor has no effect."""
    if config.architecture == OPT and name == FAIRSEQ_VERSION:
        return ""
    if config.architecture == OPT or not name.endswith(INVERSE_FREQUENCIES):
        return "not a tensor of this configuration"
    if (
        tensor.dtype in DTYPES
        and tensor.shape == (config.head_dim // 2,)
        and is_inverse_frequencies(config, read_tensor(tensor))
    ):
        return ""
    return "not the frequencies of the configuration's rope_theta, which are accepted"


def _faults(name: str, shape: Shape, stored: Mapping[str, Stored], directory: Path) -> Iterator[str]:
    tensor = stored.get(name)
    if tensor is None:
        yield f"{directory}: {name}: the tensor is missing; shape {list(shape)} is needed"
    elif tensor.shape != shape:
        yield f"{tensor.path}: {tensor.name}: shape {list(tensor.shape)} is not accepted; {list(shape)} is needed"
    elif tensor.dtype not in DTYPES:
        yield f"{tensor.path}: {tensor.name}: dtype {tensor.dtype} is not supported; {', '.join(DTYPES)} are"
