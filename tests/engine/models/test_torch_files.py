"""Weights in files of torch, as the hub had them before safetensors; no code in them is run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import InputError
from checkpoints import logits_match, of_one_directory, random_model
from engine.models import huggingface

HUB_OPT = {  # fields of facebook/opt-125m that transformers no longer writes
    "_name_or_path": "opt-125m",
    "activation_dropout": 0.0,
    "prefix": "</s>",
    "torch_dtype": "float16",
    "do_layer_norm_before": True,
}


def pickled(directory: Path, model: Any, rename: Callable[[str], str] = str, num_shards: int = 1) -> None:
    """A directory as the hub had them before safetensors."""
    directory.mkdir(exist_ok=True)
    model.config.save_pretrained(directory)
    tensors = {rename(name): tensor for name, tensor in model.state_dict().items()}
    if num_shards == 1:
        torch.save(tensors, directory / "pytorch_model.bin")
        return
    shard_of = {name: f"pytorch_model-{i % num_shards}.bin" for i, name in enumerate(tensors)}
    for shard in set(shard_of.values()):
        torch.save({name: tensors[name] for name in tensors if shard_of[name] == shard}, directory / shard)
    (directory / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": shard_of}))


@settings(of_one_directory, max_examples=12)
@given(
    st.sampled_from([("opt", "model.decoder."), ("opt", "decoder."), ("llama", "model."), ("llama", "")]),
    st.sampled_from([1, 3]),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
)
def test_a_directory_as_on_the_hub(tmp_path: Path, kind: tuple[str, str], num_shards: int, stored: torch.dtype) -> None:
    """Case opt-hub-directory: pytorch_model.bin, whole or in shards, with and without `model.` before the names."""
    architecture, prefix = kind
    model = random_model(architecture).to(stored)
    full = "model.decoder." if architecture == "opt" else "model."
    shutil.rmtree(tmp_path)
    pickled(tmp_path, model, lambda name: name.replace(full, prefix, 1), num_shards)
    if architecture == "opt":
        path = tmp_path / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **HUB_OPT}))
    assert logits_match(tmp_path, model.float())
    assert huggingface.load(tmp_path)[0].notices == ()


def test_parameters_in_a_file_of_torch(tmp_path: Path) -> None:
    """Saved with their gradients' flag, they are plain tensors."""
    model = random_model("opt")
    pickled(tmp_path, model)
    torch.save(dict(model.named_parameters()), tmp_path / "pytorch_model.bin")
    assert logits_match(tmp_path, model)
    assert not any(tensor.requires_grad for tensor in huggingface.load(tmp_path)[1].tensors())


class Runs:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "it ran")


def test_code_in_a_file_of_torch_is_not_run(tmp_path: Path) -> None:
    """It is refused, with what it asked for."""
    pickled(tmp_path, random_model("opt"))
    torch.save({"model.norm.weight": Runs(tmp_path / "ran")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(
        InputError,
        match=r"not a whole file of tensors alone \(UnpicklingError: Unsupported global: GLOBAL getattr",
    ):
        huggingface.load(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "list is not accepted; tensors by name are"),
        ({"epoch": 3}, "'epoch': int is not accepted; tensors by name are"),
        ({"model": {"a": torch.ones(1)}}, "'model': dict is not accepted; tensors by name are"),
        ({3: torch.ones(1)}, "3: Tensor is not accepted; tensors by name are"),
        ({"a": torch.ones(1).expand(2**20)}, "'a': not all of its values are in the file, which is needed"),
        ({"a": torch.empty(3, device="meta")}, "'a': not all of its values are in the file"),
        ({"a": torch.eye(3).to_sparse()}, "'a': not all of its values are in the file"),
        ({"decoder.fc": torch.ones(1, dtype=torch.complex64)}, "decoder.fc: not a tensor of this configuration"),
        ({"decoder.layers.0.fc1.bias": torch.ones(40, dtype=torch.int8)}, "dtype torch.int8 is not supported"),
        ({"lm_head.weight": torch.ones(99, 48, dtype=torch.float64)}, "dtype torch.float64 is not supported"),
    ],
)
def test_a_file_of_torch_with_something_else(tmp_path: Path, content: object, message: str) -> None:
    """The file and the entry are named."""
    model = random_model("opt")
    pickled(tmp_path, model)
    if isinstance(content, dict) and all("." in str(name) for name in content):
        content = {name.removeprefix("model."): tensor for name, tensor in model.state_dict().items()} | content
    torch.save(content, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=f"pytorch_model.bin: .*{message}"):
        huggingface.load(tmp_path)


def test_a_file_of_torch_before_archives(tmp_path: Path) -> None:
    """It is refused, as it cannot be mapped."""
    model = random_model("opt")
    pickled(tmp_path, model)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"pytorch_model.bin: not a file as torch.save writes it since"):
        huggingface.load(tmp_path)


@of_one_directory
@given(st.integers(0, 40_000), st.binary(max_size=4))
def test_any_file_of_torch_is_read_or_refused(tmp_path: Path, at: int, piece: bytes) -> None:
    """Cut off, or with other bytes in it, nothing but InputError is raised."""
    whole = tmp_path / "whole"
    if not whole.exists():
        pickled(whole, random_model("opt", num_hidden_layers=1))
    content = (whole / "pytorch_model.bin").read_bytes()
    damaged = tmp_path / "damaged"
    damaged.mkdir(exist_ok=True)
    shutil.copy(whole / "config.json", damaged)
    changed = content[:at] + piece + content[at + len(piece) :] if piece else content[:at]
    (damaged / "pytorch_model.bin").write_bytes(changed)
    with suppress(InputError):
        assert huggingface.load(damaged)[0].num_layers == 1
