"""Which models are read, with which numbers, and what the others are told."""

from __future__ import annotations

import dataclasses
import json
from contextlib import suppress
from fractions import Fraction
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from aptsched import InputError
from checkpoints import LLAMA, LLAMA3_ROPE, OPT
from engine.models.architecture import LLAMA as LLAMA_LAYERS
from engine.models.architecture import OPT as OPT_LAYERS
from engine.models.config import ModelConfig
from engine.models.hf_config import from_hf
from engine.models.random_weights import random_weights
from engine.models.rope import inverse_frequencies
from engine.models.rope_scaling import RopeScaling
from engine.models.weights import expand_kv_heads

LLAMA_FILE = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **LLAMA}
OPT_FILE = {"architectures": ["OPTForCausalLM"], "model_type": "opt", **OPT}
GQA = from_hf({**LLAMA_FILE, "num_key_value_heads": 2})


def test_a_llama_file() -> None:
    """Every field, with transformers' defaults where the file says nothing."""
    assert from_hf(LLAMA_FILE, "tiny") == ModelConfig(
        architecture=LLAMA_LAYERS,
        vocab_size=99,
        hidden_size=48,
        num_layers=3,
        num_heads=4,
        num_kv_heads=4,
        head_dim=12,
        intermediate_size=40,
        max_positions=64,
        activation="silu",
        norm_eps=1e-6,
        rope_theta=10000.0,
        bos_token_id=1,
        eos_token_ids=(2,),
        name="tiny",
    )


def test_an_opt_file() -> None:
    """Biases and a tied output matrix unless it says otherwise."""
    config = from_hf(OPT_FILE)
    assert (config.architecture, config.activation, config.norm_eps) == (OPT_LAYERS, "relu", 1e-5)
    assert config.attention_bias and config.mlp_bias and config.tied
    assert not from_hf({**OPT_FILE, "enable_bias": False}).attention_bias


@pytest.mark.parametrize("model_type", ["opt", "llama"])
def test_defaults_are_those_of_transformers(model_type: str) -> None:
    """A file that leaves out all it may reads as transformers' own file that leaves out nothing."""
    sparse = {"model_type": model_type, **(OPT if model_type == "opt" else LLAMA)}
    full = transformers.AutoConfig.for_model(**sparse).to_json_string(use_diff=False)
    assert from_hf(sparse) == from_hf(json.loads(full))


@pytest.mark.parametrize(
    ("kv_heads", "head_dim", "ratio"), [(4, None, "1/2"), (1, None, "2"), (3, 24, "1/3"), (2, 16, "3/4")]
)
def test_the_ratio_of_hidden_to_kv(kv_heads: int, head_dim: int | None, ratio: str) -> None:
    """hidden_size / (2 num_kv_heads head_dim), exactly."""
    heads = {"num_attention_heads": 3 if kv_heads == 3 else 4, "num_key_value_heads": kv_heads, "head_dim": head_dim}
    assert from_hf({**LLAMA_FILE, **heads}).cache_ratio == Fraction(ratio)


@pytest.mark.parametrize(("given_ids", "read"), [(7, (7,)), ([7, 9, 7], (7, 9)), (None, ())])
def test_ends_of_text(given_ids: object, read: tuple[int, ...]) -> None:
    """One token, a list of them, or none."""
    assert from_hf({**LLAMA_FILE, "eos_token_id": given_ids}).eos_token_ids == read


@pytest.mark.parametrize(
    "rope",
    [
        {"rope_type": "default", "rope_theta": 500.0},
        {"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0},
        LLAMA3_ROPE,
        {**LLAMA3_ROPE, "rope_theta": 500000.0, "original_max_position_embeddings": 16, "high_freq_factor": 2.5},
    ],
)
@pytest.mark.parametrize("head_dim", [12, 64, 128])
def test_rope_frequencies_are_those_of_transformers(rope: dict[str, Any], head_dim: int) -> None:
    """To the last bit, from a file of transformers 5 and from one of before."""
    reference = transformers.LlamaConfig(**LLAMA, head_dim=head_dim, rope_parameters=dict(rope))
    rotary = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(reference)
    old = {key: value for key, value in rope.items() if key != "rope_theta"}
    before = {"rope_theta": rope["rope_theta"], "rope_scaling": old if old["rope_type"] != "default" else None}
    for fields in ({"rope_parameters": rope}, before):
        config = from_hf({**LLAMA_FILE, "head_dim": head_dim, **fields})
        assert torch.equal(inverse_frequencies(config), rotary.inv_freq)


def test_an_old_name_of_the_kind_of_scaling() -> None:
    """`type` for `rope_type`."""
    assert from_hf({**LLAMA_FILE, "rope_scaling": {"type": "linear", "factor": 2.0}}).rope_scaling == RopeScaling(
        "linear", factor=2.0
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architectures": ["MistralForCausalLM"]}, "architectures: 'MistralForCausalLM' is not supported"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "LlamaForSequenceClassification"),
        ({"architectures": [{"no": "name"}]}, "architectures: .* is not supported"),
        ({"architectures": None, "model_type": "gpt2"}, "model_type: 'gpt2' is not supported; 'llama' and 'opt' are"),
        ({"architectures": None, "model_type": None}, "model_type: None is not supported; 'llama' and 'opt' are"),
        ({"architectures": None, "model_type": ["opt"]}, "model_type: .'opt'. is not supported; 'llama' and 'opt' are"),
        ({"model_type": "opt"}, "model_type: 'opt' is not supported; 'llama' is"),
        ({"hidden_size": 0}, "hidden_size: 0 is not accepted; a whole number from 1"),
        ({"hidden_size": 48.0}, "hidden_size: 48.0 is not accepted"),
        ({"num_hidden_layers": True}, "num_hidden_layers: True is not accepted"),
        ({"num_hidden_layers": 2000}, "num_hidden_layers: 2000 is not accepted; a whole number from 1 to 1024 is"),
        ({"vocab_size": 10**30}, "vocab_size: 1000"),
        ({"num_attention_heads": 5}, "hidden_size: 48 is not accepted; a multiple of the 5 attention heads is"),
        ({"num_key_value_heads": 3}, "num_key_value_heads: 3 is not accepted; a divisor of the 4 heads is"),
        ({"head_dim": 7}, "head_dim: 7 is not accepted; an even number is"),
        ({"hidden_act": "mish"}, "hidden_act: 'mish' is not supported; relu"),
        ({"hidden_act": ["silu"]}, "hidden_act: .'silu'. is not supported"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps: 'small' is not accepted"),
        ({"rope_theta": -1}, "rope_theta: -1 is not accepted; a number from 1e-06 to 9"),
        ({"rope_theta": 10**30}, "rope_theta: 1000.* is not accepted; a number from"),
        ({"rope_theta": float("1e30")}, "rope_theta: 1e.30 is not accepted"),
        ({"rms_norm_eps": 10**400}, "rms_norm_eps: 1000.*000... is not accepted; a number from 1e-30 to 1e.30 is"),
        ({"max_position_embeddings": 2**23}, "max_position_embeddings: 8388608 is not accepted; .* to 4194304 is"),
        ({"num_attention_heads": 2**13, "head_dim": 2**12}, "head_dim: 4096 is not accepted with 8192 heads"),
        ({"eos_token_id": 10**20}, "bos_token_id, eos_token_id: 1000.* is not accepted; token numbers from 0 to"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_scaling: rope_type 'yarn' is not supported"),
        ({"rope_scaling": {"type": "dynamic", "factor": 4.0}}, "rope_type 'dynamic' is not supported"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling: factor None is not accepted; linear needs a number"),
        ({"rope_scaling": {"type": "linear", "factor": 0.5}}, "factor: 0.5 is not accepted; a number from 1 to 9"),
        ({"rope_scaling": {**LLAMA3_ROPE, "high_freq_factor": 1}}, "high_freq_factor: 1 is not accepted"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1.0}}}, "'full_attention' has parameters of its own"),
        ({"rope_parameters": [1]}, "rope_parameters: .1. is not accepted; an object or null is"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor: 0.5 is not supported; 1.0 is"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "partial_rotary_factor 0.5 is not supported"),
        ({"sliding_window": 32}, "sliding_window: 32 is not supported"),
        ({"quantization_config": {"bits": 4}}, "quantization_config: .*'bits': 4.* is not supported; null is"),
        ({"attention_bias": "yes"}, "attention_bias: 'yes' is not accepted; true or false is"),
        ({"eos_token_id": "</s>"}, "eos_token_id: '</s>' is not accepted"),
    ],
)
def test_a_llama_that_is_not_supported(changes: dict[str, Any], message: str) -> None:
    """One message: the field, its value, what is accepted."""
    with pytest.raises(InputError, match=message):
        from_hf({**LLAMA_FILE, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_layer_norm_before": False}, "do_layer_norm_before: False is not supported; True is"),
        ({"word_embed_proj_dim": 16}, "word_embed_proj_dim: 16 is not supported; 48 is"),
        ({"_remove_final_layer_norm": True}, "_remove_final_layer_norm: True is not supported"),
        ({"layer_norm_elementwise_affine": False}, "layer_norm_elementwise_affine: False is not supported"),
    ],
)
def test_an_opt_that_is_not_supported(changes: dict[str, Any], message: str) -> None:
    """OPT-350M's norms and projection among them."""
    with pytest.raises(InputError, match=message):
        from_hf({**OPT_FILE, **changes})


@pytest.mark.parametrize("field", sorted(LLAMA))
def test_a_size_that_is_missing(field: str) -> None:
    """No size has a default."""
    with pytest.raises(InputError, match=f"{field}: it is missing"):
        from_hf({key: value for key, value in LLAMA_FILE.items() if key != field})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 10**20) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
FIELDS = [*LLAMA_FILE, "num_key_value_heads", "head_dim", "rms_norm_eps", "rope_theta", "rope_scaling"]
FIELDS += ["rope_parameters", "eos_token_id", "bos_token_id", "tie_word_embeddings", "sliding_window"]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3), JSON)
def test_any_file_is_read_or_refused(changes: dict[str, Any], factor: Any) -> None:
    """Whatever JSON stands in a field, nothing but InputError is raised."""
    scaling = {"rope_scaling": {**LLAMA3_ROPE, "factor": factor}}
    for content in ({**LLAMA_FILE, **changes}, {**LLAMA_FILE, **scaling}):
        with suppress(InputError):
            assert from_hf(content).num_layers >= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_heads": 0}, "num_heads: 0"),
        ({"activation": "tanh"}, "activation: 'tanh'"),
        ({"norm_eps": float("nan")}, "norm_eps: nan"),
        ({"architecture": OPT_LAYERS}, "num_kv_heads: 2 is not accepted; OPT has as many as heads, 4"),
        (
            {"architecture": OPT_LAYERS, "num_kv_heads": 4, "head_dim": 16},
            "OPT needs hidden_size / num_heads = 48 / 4",
        ),
        ({"rope_scaling": RopeScaling("factors", factors=(1.0, 2.0))}, "rope factors: 2 are not accepted"),
        ({"eos_token_ids": (-1,)}, "-1 is not accepted"),
    ],
)
def test_a_configuration_of_ones_own_is_checked(changes: dict[str, Any], message: str) -> None:
    """The same checks where no file is read."""
    with pytest.raises(InputError, match=message):
        dataclasses.replace(GQA, **changes)


def test_a_kind_of_scaling_that_is_not_known() -> None:
    """It is named, with those that are."""
    with pytest.raises(InputError, match="'yarn' is not supported; linear, llama3, factors or none is"):
        RopeScaling("yarn")


def test_random_weights_depend_on_the_generator_alone() -> None:
    """The same seed gives the same tensors, another seed others."""
    first, again, other = (random_weights(GQA, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first.tensors(), again.tensors(), strict=True))
    assert not torch.equal(first.embed, other.embed)


def test_bytes_of_a_tied_model_count_the_embedding_once() -> None:
    """The output matrix is the very tensor, and adds nothing."""
    tied, untied = (
        random_weights(dataclasses.replace(GQA, tied=tied), torch.Generator(), torch.bfloat16) for tied in (True, False)
    )
    assert tied.lm_head is tied.embed
    assert untied.num_bytes - tied.num_bytes == 2 * 99 * 48


def test_a_twin_that_is_there_already() -> None:
    """A model with as many KV heads as heads is its own twin."""
    config = dataclasses.replace(GQA, num_kv_heads=4)
    weights = random_weights(config, torch.Generator())
    assert expand_kv_heads(config, weights) == (config, weights)
