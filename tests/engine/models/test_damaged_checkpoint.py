"""Hugging Face directories whose files are not whole, or not of one model."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from aptsched import InputError
from checkpoints import rewrite_tensors
from engine.models import huggingface


def test_all_tensors_that_do_not_fit_are_named_at_once(directory: Path) -> None:
    """Missing, misshaped, of another dtype, and unknown ones: file, tensor, found, needed."""
    down, k, norm = (
        f"model.layers.1.{name}.weight" for name in ("mlp.down_proj", "self_attn.k_proj", "input_layernorm")
    )

    def change(tensors: dict[str, torch.Tensor]) -> None:
        del tensors[down]
        tensors[k] = tensors[k][:-1].contiguous()
        tensors[norm] = tensors[norm].to(torch.int8)
        tensors["model.layers.3.adapter"] = torch.ones(1)

    rewrite_tensors(directory, change)
    with pytest.raises(InputError) as caught:
        huggingface.load(directory)
    file, message = directory / "model.safetensors", str(caught.value)
    assert f"{directory}: {down.removeprefix('model.')}: the tensor is missing; shape [48, 40] is needed" in message
    assert f"{file}: {k}: shape [23, 48] is not accepted; [24, 48] is needed" in message
    assert f"{file}: {norm}: dtype I8 is not supported; F32, F16, BF16 are" in message
    assert f"{file}: model.layers.3.adapter: not a tensor of this configuration" in message


def test_a_long_list_of_faults_is_cut(directory: Path) -> None:
    """The first four are named, and how many more there are."""
    save_file({"model.norm.weight": torch.ones(48)}, directory / "model.safetensors")
    with pytest.raises(InputError, match=r"embed_tokens.weight: the tensor is missing.*; and 25 more"):
        huggingface.load(directory)


def test_a_bias_that_the_configuration_does_not_have_is_not_dropped(directory: Path) -> None:
    """A tensor that would be computed with is never passed over."""
    name = "model.layers.0.self_attn.q_proj.bias"
    rewrite_tensors(directory, lambda tensors: tensors.update({name: torch.ones(48)}))
    with pytest.raises(InputError, match=f"{name}: not a tensor of this configuration"):
        huggingface.load(directory)


def test_an_untied_model_without_its_output_matrix(directory: Path) -> None:
    """It is missing, and not taken to be the embedding."""
    rewrite_tensors(directory, lambda tensors: tensors.pop("lm_head.weight"))
    with pytest.raises(InputError, match=r"lm_head.weight: the tensor is missing; shape \[99, 48\] is needed"):
        huggingface.load(directory)


@pytest.mark.parametrize("num_bytes", [0, 5, 200, 30_000])
def test_a_file_that_is_cut_off(directory: Path, num_bytes: int) -> None:
    """Within its header or its data, the file is named."""
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(InputError, match=r"model.safetensors: not a whole safetensors file"):
        huggingface.load(directory)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_header_is_read_or_refused(directory: Path, data: st.DataObject) -> None:
    """Whatever bytes stand in it, nothing but InputError is raised."""
    path, whole = directory / "damaged" / "model.safetensors", (directory / "model.safetensors").read_bytes()
    path.parent.mkdir(exist_ok=True)
    shutil.copy(directory / "config.json", path.parent)
    at, piece = data.draw(st.integers(0, 3000)), data.draw(st.binary(min_size=1, max_size=4))
    path.write_bytes(whole[:at] + piece + whole[at + len(piece) :])
    with suppress(InputError):
        assert huggingface.load(path.parent)[0].num_layers == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "config.json: line 1, column 2: not JSON"),
        ("[]", "config.json: list is not accepted; a JSON object is"),
        ("[" * 100_000, "config.json: nested too deeply"),
        ('{"model_type": "mamba"}', "config.json: model_type: 'mamba' is not supported"),
        (None, "config.json: cannot be read"),
    ],
)
def test_a_bad_configuration(directory: Path, content: str | None, message: str) -> None:
    """The file is named, with what is wrong in it."""
    (directory / "config.json").unlink()
    if content is not None:
        (directory / "config.json").write_text(content)
    with pytest.raises(InputError, match=message):
        huggingface.load(directory)


def test_a_directory_without_tensors(directory: Path) -> None:
    """Both names that are looked for are given."""
    (directory / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"none of model.safetensors, .*, pytorch_model.bin.index.json; one of them"):
        huggingface.load(directory)


def test_a_shard_that_is_absent(sharded: Path) -> None:
    """Index and shard are named."""
    (sharded / "model-00002-of-00009.safetensors").unlink()
    with pytest.raises(InputError, match=r"index.json: model-00002-of-00009.safetensors: no file in .*; all shards"):
        huggingface.load(sharded)


@pytest.mark.parametrize("content", ["{}", '{"weight_map": {}}', '{"weight_map": {"a": 1}}', '{"weight_map": [1]}'])
def test_an_index_without_a_map(sharded: Path, content: str) -> None:
    """It has to say which tensor is in which file."""
    (sharded / "model.safetensors.index.json").write_text(content)
    with pytest.raises(InputError, match=r"index.json: weight_map: "):
        huggingface.load(sharded)


def test_an_index_that_leaves_out_a_shard(sharded: Path) -> None:
    """What it held is missing."""
    index = sharded / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    of_norm = content["weight_map"]["model.norm.weight"]
    content["weight_map"] = {name: file for name, file in content["weight_map"].items() if file != of_norm}
    index.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"norm.weight: the tensor is missing"):
        huggingface.load(sharded)
