"""Finds the files of a Hugging Face directory that hold its weights, and those that are not read."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.faults import listed
from engine.models.json_object import is_file, read_json
from engine.models.tensor_files import PICKLED, SAFETENSORS

# The first that exists is read, as in transformers.
CANDIDATES = {
    "model.safetensors": SAFETENSORS,
    "model.safetensors.index.json": SAFETENSORS,
    "pytorch_model.bin": PICKLED,
    "pytorch_model.bin.index.json": PICKLED,
}
ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
OF_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".gguf", ".onnx", ".npz")
OF_TRAINING = ("training_args.", "optimizer.", "scheduler.", "scaler.", "rng_state")
NUM_SAID = 8  # most files that a notice names


def weight_files(directory: Path) -> tuple[list[Path], frozenset[str]]:
    """The files to read, and the names of the tensors in them according to an index.

    Names in an index may not lead out of the directory; a file may be a link to one elsewhere, as in the hub's cache.

    Raises
    ------
    InputError
        There is no file of a known name, one is not a regular file, the index is malformed, or there is an adapter.
    """
    for name in ADAPTERS:
        if os.path.lexists(directory / name):
            raise InputError(f"{directory / name}: adapters are not supported; a model into which one is merged is")
    for name, suffix in CANDIDATES.items():
        path = directory / name
        if is_file(path):
            return _shards(path, suffix) if path.suffix == ".json" else ([path], frozenset())
        if os.path.lexists(path):
            raise InputError(f"{path}: not a file that is there, which is needed")
    raise InputError(f"{directory}: there is none of {', '.join(CANDIDATES)}; one of them is needed")


def unread(directory: Path, read: Collection[Path]) -> tuple[str, ...]:
    """Notices about files of weights in the directory that are not read."""
    left = sorted(
        path.name
        for path in directory.iterdir()
        if path.suffix in OF_WEIGHTS and path not in read and not path.name.startswith(OF_TRAINING)
    )
    names = sorted(path.name for path in read)
    said = f"weights: {listed(names)}: read; {listed(left, num_named=NUM_SAID)}: not read"
    return (said,) if left else ()


def _shards(index: Path, suffix: str) -> tuple[list[Path], frozenset[str]]:
    shard_of = read_json(index).get("weight_map")
    if not isinstance(shard_of, dict) or not all(isinstance(name, str) for name in shard_of.values()) or not shard_of:
        raise InputError(f"{index}: weight_map: not an object of tensor names and file names, which is needed")
    names = sorted(set(shard_of.values()))
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or path.suffix != suffix:
            raise InputError(f"{index}: weight_map: {shown(name)} is not accepted; a {suffix} file of the directory is")
    absent = [shown(name)[1:-1] for name in names if not is_file(index.parent / name)]
    if absent:
        raise InputError(f"{index}: {listed(absent)}: no file in {index.parent}; all shards that it names are needed")
    return [index.parent / name for name in names], frozenset(shard_of)
