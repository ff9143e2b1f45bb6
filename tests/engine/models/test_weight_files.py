"""The files of weights in a Hugging Face directory: those that are left, and those that are something else."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from aptsched import InputError
from checkpoints import LLAMA3_ROPE, logits_match, of_one_directory, random_model
from engine.models import huggingface


def test_safetensors_are_preferred(directory: Path) -> None:
    """And what is left is said in one line; what training leaves behind is not."""
    reference = random_model("llama", num_key_value_heads=2)
    for name in ("pytorch_model.bin", "consolidated.safetensors", "tf_model.h5", "training_args.bin", "optimizer.pt"):
        (directory / name).write_bytes(b"anything")
    assert logits_match(directory, reference)
    assert huggingface.load(directory)[0].notices == (
        "weights: model.safetensors: read; consolidated.safetensors, pytorch_model.bin, tf_model.h5: not read",
    )


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"])
def test_an_adapter_is_not_left_out(directory: Path, name: str) -> None:
    """With it the model would compute something else."""
    (directory / name).write_text("{}")
    with pytest.raises(InputError, match=f"{name}: adapters are not supported; a model into which one is merged is"):
        huggingface.load(directory)


def with_shard(sharded: Path, name: str) -> None:
    """The index, with one shard under another name."""
    index = sharded / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["model.norm.weight"] = name
    index.write_text(json.dumps(content))


OUTSIDE = st.sampled_from(
    ["../x.safetensors", "/x.safetensors", "a/../../x.safetensors", "x.bin", "x", "", ".", "\ud800"]
)


@of_one_directory
@given(OUTSIDE | st.text(max_size=6).map(lambda text: f"{text}.safetensors") | st.just("x" * 5000 + ".safetensors"))
def test_a_weight_map_stays_in_its_directory(tmp_path: Path, name: str) -> None:
    """Whatever a shard is called: one message, and no file outside is looked at."""
    inside = tmp_path / "inside"
    if not inside.exists():
        random_model("llama", num_hidden_layers=1).save_pretrained(inside, max_shard_size="30KB")
        save_file({"model.norm.weight": torch.ones(48)}, tmp_path / "x.safetensors")
    with_shard(inside, name)
    with pytest.raises(
        InputError, match=r"index.json: (weight_map: .* is not accepted; a .safetensors file|.*: no file)"
    ):
        huggingface.load(inside)


def test_a_link_in_the_directory_may_lead_elsewhere(sharded: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The cache of the hub is made of them."""
    elsewhere = tmp_path_factory.mktemp("blobs") / "0123"
    shard = next(sharded.glob("model-*.safetensors"))
    shutil.move(shard, elsewhere)
    shard.symlink_to(elsewhere)
    assert logits_match(sharded, random_model("llama"))
    elsewhere.unlink()
    with pytest.raises(InputError, match=f"index.json: {shard.name}: no file in"):
        huggingface.load(sharded)


def test_a_tensor_in_two_shards(sharded: Path) -> None:
    """Which of them counts is not guessed; nor where names differ by the prefix alone."""
    shards = sorted(sharded.glob("model-*.safetensors"))
    for name in ("model.norm.weight", "norm.weight"):
        save_file({**load_file(shards[0]), name: torch.zeros(48)}, sharded / "more.safetensors")
        with_shard(sharded, "more.safetensors")
        with pytest.raises(InputError, match=r": also '.*' in .*; one is accepted"):
            huggingface.load(sharded)


def test_a_tensor_that_an_index_promises(sharded: Path) -> None:
    """It is in none of the files."""
    index = sharded / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["model.layers.0.self_attn.q_proj.bias"] = content["weight_map"]["model.norm.weight"]
    index.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"weight_map: model.layers.0.self_attn.q_proj.bias: in none of the files"):
        huggingface.load(sharded)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/nowhere/at/all")])
def test_what_is_not_a_file(directory: Path, name: str, make: Callable[[Path], None]) -> None:
    """A pipe, which would be waited for, a directory, a link to nothing: the path is named."""
    if name == "pytorch_model.bin":
        (directory / "model.safetensors").unlink()
    (directory / name).unlink(missing_ok=True)
    make(directory / name)
    with pytest.raises(InputError, match=f"{name}: (cannot be read|not a file that is there|a .* is not accepted)"):
        huggingface.load(directory)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"rms_norm_eps": NaN}', "NaN is not accepted; finite numbers are"),
        ('{"hidden_size": -Infinity}', "-Infinity is not accepted"),
        ('{"hidden_size": 1, "hidden_size": 2}', '"hidden_size": given twice; each field is accepted once'),
        ('{"hidden_size": ' + "1" * 5000 + "}", ".*5000 digits are not accepted"),
        ('{"a":' * 100_000, "nested too deeply; a few levels are accepted"),
        (
            '{"model_type": "llama", "num_attention_heads": ' + "1" * 20 + "}",
            "num_attention_heads: 1111.* is not accepted; a whole number",
        ),
        (
            '{"model_type": "llama", "num_attention_heads": 1, "hidden_size": 1099511627776}',
            "hidden_size: 1099511627776 is not",
        ),
        ('{"model_type": "llama", "sliding_window": ' + "[" * 400 + "]" * 400 + "}", r"sliding_window: \[\[\["),
    ],
)
def test_a_configuration_out_of_range(directory: Path, content: str, message: str) -> None:
    """Of JSON, of what a number may be, or of depth: the file is named, and what is wrong in it."""
    (directory / "config.json").write_text(content)
    with pytest.raises(InputError, match=f"config.json: {message}"):
        huggingface.load(directory)


@of_one_directory
@given(
    st.sampled_from([10000.0, 500000.0, 10.0]),
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    st.sampled_from([None, LLAMA3_ROPE, {"rope_type": "linear", "factor": 4.0}]),
    st.sampled_from([1.0, 1.1, 0.25]),
)
def test_frequencies_that_are_stored(
    directory: Path, theta: float, stored: torch.dtype, rope: dict[str, Any] | None, change: float
) -> None:
    """Those of the configuration, before or after scaling, change nothing; others are not passed over."""
    model = random_model("llama", rope_parameters={"rope_type": "default", **(rope or {}), "rope_theta": theta})
    model.save_pretrained(directory)
    tensors = load_file(directory / "model.safetensors")
    plain, _ = model.model.rotary_emb.compute_default_rope_parameters(model.config)
    tensors["model.layers.1.self_attn.rotary_emb.inv_freq"] = (plain * change).to(stored)
    save_file(tensors, directory / "model.safetensors")
    is_linear = rope is not None and rope["rope_type"] == "linear"
    if change == 1.0 or (change == 0.25 and is_linear):
        assert logits_match(directory, model)
        return
    with pytest.raises(InputError, match=r"layers.1.self_attn.rotary_emb.inv_freq: not the frequencies of"):
        huggingface.load(directory)
