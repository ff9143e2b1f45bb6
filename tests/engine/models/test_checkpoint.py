"""Hugging Face directories, against transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from aptsched import InputError
from checkpoints import LLAMA3_ROPE, as_transformers, logits_of, random_model, rewrite_tensors
from engine.models import huggingface
from engine.models.architecture import OPT
from engine.models.checkpoint import load_model
from engine.models.hf_config import load_config
from engine.models.weights import expand_kv_heads
from plain_model import plain_logits

TOKEN_IDS = list(range(3, 43))
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "opt": ("opt", {}),
    "opt, gelu, no biases, untied": (
        "opt",
        {"activation_function": "gelu", "enable_bias": False, "tie_word_embeddings": False},
    ),
    "llama, MHA": ("llama", {}),
    "llama, GQA, tied": ("llama", {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "llama, one KV head, head_dim, biases": (
        "llama",
        {"num_key_value_heads": 1, "head_dim": 20, "attention_bias": True, "mlp_bias": True},
    ),
    "llama, llama3 RoPE": ("llama", {"num_key_value_heads": 2, "head_dim": 16, "rope_parameters": LLAMA3_ROPE}),
    "llama, linear RoPE, gelu": (
        "llama",
        {
            "hidden_act": "gelu_pytorch_tanh",
            "rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0},
        },
    ),
}


@pytest.fixture(params=sorted(MODELS))
def model(request: pytest.FixtureRequest) -> Any:
    kind, changes = MODELS[request.param]
    return random_model(kind, **changes)


def close(ours: torch.Tensor, reference: torch.Tensor) -> bool:
    return bool(((ours - reference).abs() <= 1e-4 + 1e-5 * reference.abs().max()).all())


@pytest.mark.parametrize("max_shard_size", ["1GB", "30KB"])
def test_logits_are_those_of_transformers(model: Any, tmp_path: Path, max_shard_size: str) -> None:
    """From one file and from shards, from the twin with K and V heads repeated; and the weights give it back."""
    model.save_pretrained(tmp_path, max_shard_size=max_shard_size)
    assert (tmp_path / "model.safetensors").exists() == (max_shard_size == "1GB")
    config, weights = huggingface.load(tmp_path)
    reference = logits_of(model, TOKEN_IDS)
    assert close(plain_logits(config, weights, TOKEN_IDS), reference)
    assert torch.equal(logits_of(as_transformers(config, weights), TOKEN_IDS), reference)
    twin, of_twin = expand_kv_heads(config, weights)
    assert twin.num_kv_heads == twin.num_heads
    assert close(plain_logits(twin, of_twin, TOKEN_IDS), reference)


def test_every_number_of_the_files_is_in_the_weights(model: Any, tmp_path: Path) -> None:
    """Fused tensors have as many bytes as those of the file, less OPT's two unused positions."""
    model.save_pretrained(tmp_path)
    stored = sum(tensor.numel() for tensor in load_file(tmp_path / "model.safetensors").values())
    config, weights = huggingface.load(tmp_path, torch.bfloat16)
    unused = 2 * config.hidden_size if config.architecture == OPT else 0
    assert weights.num_bytes == 2 * (stored - unused)
    assert all(tensor.dtype == torch.bfloat16 for tensor in weights.tensors())


@pytest.mark.parametrize(("kind", "full", "short"), [("llama", "model.", ""), ("opt", "model.decoder.", "decoder.")])
def test_prefixes_may_be_missing(tmp_path: Path, kind: str, full: str, short: str) -> None:
    """As in checkpoints of the model without its output matrix; buffers of older versions are passed over."""
    model = random_model(kind, tie_word_embeddings=True)
    model.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    renamed = {name.replace(full, short, 1): tensor for name, tensor in load_file(path).items()}
    if kind == "opt":
        renamed["decoder.version"] = torch.tensor([3.0])
    else:
        renamed["layers.0.self_attn.rotary_emb.inv_freq"] = 10000.0 ** -(torch.arange(0, 12, 2) / 12)
    save_file(renamed, path)
    assert close(plain_logits(*huggingface.load(tmp_path), TOKEN_IDS), logits_of(model, TOKEN_IDS))


def saved_with_head(directory: Path, kind: str, is_tied: bool, change: float | None) -> Any:
    """A model whose output matrix is stored: the embedding, with `change` added to one entry unless it is None."""
    model = random_model(kind, tie_word_embeddings=False)
    with torch.no_grad():
        model.lm_head.weight.copy_(model.get_input_embeddings().weight)
        model.lm_head.weight[-1, -1] += change or 0.0
    model.config.tie_word_embeddings = is_tied
    model.config.save_pretrained(directory)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    return model


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["llama", "opt"]), st.booleans(), st.none() | st.floats(0.5, 2.0))
def test_a_stored_output_matrix_counts(tmp_path: Path, kind: str, is_tied: bool, change: float | None) -> None:
    """Case tied-config-own-lm-head: whatever tie_word_embeddings says; one that equals the embedding is held once."""
    reference = saved_with_head(tmp_path, kind, is_tied, change)
    config, weights = huggingface.load(tmp_path)
    assert close(plain_logits(config, weights, TOKEN_IDS), logits_of(reference, TOKEN_IDS))
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert close(plain_logits(config, weights, TOKEN_IDS), logits_of(again, TOKEN_IDS))
    assert (weights.lm_head is weights.embed, config.tied) == (change is None, change is None)


def test_an_output_matrix_that_differs_by_what_the_dtype_rounds_off(tmp_path: Path) -> None:
    """It is compared as it is held: in bfloat16 the two are one."""
    saved_with_head(tmp_path, "llama", True, 1e-7)
    assert not huggingface.load(tmp_path)[0].tied
    assert huggingface.load(tmp_path, torch.bfloat16)[0].tied


def test_a_stored_output_matrix_of_another_shape(tmp_path: Path) -> None:
    """A model that its configuration ties has no use for one, and it is refused all the same."""
    saved_with_head(tmp_path, "opt", True, None)
    rewrite_tensors(tmp_path, lambda tensors: tensors.update({"lm_head.weight": torch.ones(98, 48)}))
    with pytest.raises(InputError, match=r"lm_head.weight: shape \[98, 48\] is not accepted; \[99, 48\] is needed"):
        huggingface.load(tmp_path)


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_a_checkpoint_of_half_precision(tmp_path: Path, stored: torch.dtype) -> None:
    """Read in float32, it computes what transformers computes from it in float32."""
    model = random_model("llama").to(stored)
    model.save_pretrained(tmp_path)
    assert close(plain_logits(*huggingface.load(tmp_path), TOKEN_IDS), logits_of(model.float(), TOKEN_IDS))


@pytest.mark.parametrize("in_config", ["absent", None, 5, [5, 6]])
@pytest.mark.parametrize("in_generation_config", ["no file", "absent", None, 5, [6, 7]])
def test_ends_of_text_are_those_of_transformers(directory: Path, in_config: Any, in_generation_config: Any) -> None:
    """Where there is a generation_config.json it alone counts, and what it takes the place of is said."""
    path, generation = directory / "config.json", directory / "generation_config.json"
    config = json.loads(path.read_text()) | {"eos_token_id": in_config}
    path.write_text(json.dumps({key: value for key, value in config.items() if value != "absent"}))
    generation.unlink()
    if in_generation_config != "no file":
        content = {} if in_generation_config == "absent" else {"eos_token_id": in_generation_config}
        generation.write_text(json.dumps(content))
    found = load_config(directory)
    stops = transformers.AutoModelForCausalLM.from_pretrained(directory).generation_config.eos_token_id
    assert list(found.eos_token_ids) == (stops if isinstance(stops, list) else [] if stops is None else [stops])
    given_ids = {5, 6} if in_config == [5, 6] else {in_config} - {"absent", None}
    said = any("eos_token_id" in notice for notice in found.notices)
    assert said == bool(given_ids - set(found.eos_token_ids))


def test_a_model_by_its_directory(directory: Path) -> None:
    """With a dtype by name, its twin if asked for, and no tokenizer where there is none."""
    model = load_model(directory, "bf16", expand_kv_heads=True)
    assert (model.config.num_kv_heads, model.weights.embed.dtype, model.tokenizer) == (4, torch.bfloat16, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name_or_path": "no/such/model"}, "model: 'no/such/model' is not there; 'smollm2', a Hugging Face"),
        ({"dtype": "int8"}, "dtype: 'int8' is not accepted; fp32, bf16, fp16 are"),
        ({"name_or_path": "x" * 5000}, r"model: 'x{10,500}\.\.\. is not there"),
        ({"name_or_path": "a\0b"}, r"model: 'a.x00b' is not there"),
        ({"name_or_path": ""}, "model: an empty name is not accepted; 'smollm2', a Hugging Face directory"),
        ({"name_or_path": "/dev/zero"}, "model: '/dev/zero' is not there"),
        ({"device": "meta"}, "device: 'meta' is not available .of type meta.; cpu is"),
        ({"device": "abacus"}, "device: 'abacus' is not available"),
    ],
)
def test_what_cannot_be_loaded(directory: Path, arguments: dict[str, Any], message: str) -> None:
    """The argument is named, with what is accepted."""
    with pytest.raises(InputError, match=message):
        load_model(**{"name_or_path": str(directory), **arguments})
