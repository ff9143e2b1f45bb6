"""Sizes of models that the engine does not run: as many weights as transformers makes, under any name of a size."""

from __future__ import annotations

import json
from contextlib import suppress
from fractions import Fraction
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import InputError
from engine.models.hf_config import from_hf
from engine.models.hf_families import FAMILIES
from engine.models.hf_sizes import ALIASES, USED, sizes_from_hf

transformers.utils.logging.set_verbosity_error()
TINY: dict[str, Any] = {
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "vocab_size": 99,
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id")),
}
MORE: dict[str, Any] = {"num_key_value_heads": 2, "head_dim": 12, "intermediate_size": 80, "ffn_dim": 80, "n_inner": 80}
OWN: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": None},  # of 4,096 tokens by default
    "bloom": {"seq_length": 2048},  # ALiBi: no limit of its own
    "gpt_bigcode": {"n_head": 4},
    "helium": {"head_dim": 16},  # hidden_size / heads, or transformers cannot run it
    "ernie4_5_moe": {"moe_layer_end_index": 2},
}
# Fields that change what there is, by family.
VARIED: dict[str, list[dict[str, Any]]] = {
    "opt": [{"enable_bias": False}, {"tie_word_embeddings": False}],
    "llama": [{"attention_bias": True}, {"mlp_bias": True}, {"tie_word_embeddings": True}],
    "qwen2": [{"tie_word_embeddings": True}],
    "qwen3": [{"attention_bias": True}],
    "gemma": [{"attention_bias": True}],
    "seed_oss": [{"attention_out_bias": True}, {"mlp_bias": True}, {"attention_bias": False}],
    "glm": [{"attention_bias": False}],
    "ernie4_5": [{"use_bias": True}],
    "helium": [{"attention_bias": True}, {"mlp_bias": True}],
    "nemotron": [{"attention_bias": True}, {"mlp_bias": True}],
    "cohere": [{"use_qk_norm": True}, {"attention_bias": True}],
    "stablelm": [{"use_parallel_residual": True}, {"use_qkv_bias": True}, {"qk_layernorm": True}],
    "phi": [{"qk_layernorm": True}],
    "starcoder2": [{"use_bias": False}, {"tie_word_embeddings": False}],
    "gpt_neox": [{"attention_bias": False}, {"use_parallel_residual": False}],
    "mixtral": [{"num_local_experts": 4, "num_experts_per_tok": 1}, {"tie_word_embeddings": True}],
    "qwen2_moe": [{"qkv_bias": False}, {"mlp_only_layers": [1]}, {"decoder_sparse_step": 2}, {"num_experts": 0}],
    "qwen3_moe": [{"attention_bias": True}, {"mlp_only_layers": [0, 2]}, {"decoder_sparse_step": 3}],
    "olmoe": [{"attention_bias": True}],
    "granitemoe": [{"attention_bias": True}],
    "granitemoeshared": [{"shared_intermediate_size": 48}],
    "glm4_moe": [{"use_qk_norm": True}, {"attention_bias": True}, {"first_k_dense_replace": 2, "n_shared_experts": 2}],
    "ernie4_5_moe": [{"moe_layer_start_index": 0}, {"moe_layer_end_index": 1}, {"moe_layer_interval": 2}],
    "phimoe": [{"attention_bias": True}, {"lm_head_bias": True}],
    "gpt2": [{"n_inner": None}, {"n_positions": 32}],
    "gptj": [{"n_inner": None}],
    "gpt_bigcode": [{"multi_query": False}, {"n_inner": None}],
    "falcon": [
        {"multi_query": False},
        {"parallel_attn": False},
        {"bias": True},
        {"alibi": True},
        {"new_decoder_architecture": True, "num_kv_heads": 2},
        {"new_decoder_architecture": True, "num_kv_heads": 2, "num_ln_in_parallel_attn": 1},
        {"ffn_hidden_size": 80},
    ],
}
CASES = [(family, changes) for family in FAMILIES for changes in [{}, *VARIED.get(family, [])]]
# hidden_size, layers, heads, intermediate_size, vocab_size, positions; more; the weights published for it
PUBLISHED: dict[str, tuple[str, tuple[int, ...], dict[str, Any], int]] = {
    "GPT-2": ("gpt2", (768, 12, 12, 3072, 50257, 1024), {}, 124_439_808),
    "GPT-J-6B": ("gptj", (4096, 28, 16, 16384, 50400, 2048), {}, 6_050_882_784),
    "Pythia-6.9B": ("gpt_neox", (4096, 32, 32, 16384, 50432, 2048), {}, 6_857_302_016),
    "BLOOM-560M": ("bloom", (1024, 24, 16, 4096, 250880, 2048), {}, 559_214_592),
    "Falcon-7B": ("falcon", (4544, 32, 71, 18176, 65024, 2048), {}, 6_921_720_704),
    "Phi-2": ("phi", (2560, 32, 32, 10240, 51200, 2048), {}, 2_779_683_840),
    "Gemma-7B": ("gemma", (3072, 28, 16, 24576, 256000, 8192), {}, 8_537_680_896),
    "Mistral-7B-v0.3": (
        *("mistral", (4096, 32, 32, 14336, 32768, 32768)),
        {"num_key_value_heads": 8, "sliding_window": None},
        7_248_023_552,
    ),
    "Qwen2.5-7B": ("qwen2", (3584, 28, 28, 18944, 152064, 32768), {"num_key_value_heads": 4}, 7_615_616_512),
    "Qwen3-8B": ("qwen3", (4096, 36, 32, 12288, 151936, 40960), {"num_key_value_heads": 8}, 8_190_735_360),
}
VALUES = (
    st.none() | st.booleans() | st.integers(-2, 40) | st.sampled_from([2**70, 0.5, 1e400, "silu", "x", [], {}, [1, 2]])
)
UNKNOWN: dict[str, Any] = {**TINY, "model_type": "mine", "intermediate_size": 80, "max_position_embeddings": 128}


@pytest.mark.parametrize(("family", "changes"), CASES)
@pytest.mark.parametrize("use_diff", [True, False])
def test_weights_are_as_many_as_transformers_makes(family: str, changes: dict[str, Any], use_diff: bool) -> None:
    """To the last one, from a file as it is saved and from one that leaves nothing out; no field is unknown."""
    there = transformers.AutoConfig.for_model(family).to_dict()
    more = {name: value for name, value in MORE.items() if name in there and family != "gpt_bigcode"}
    config = transformers.AutoConfig.for_model(family, **TINY | more | OWN.get(family, {}) | changes)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    found = sizes_from_hf(json.loads(config.to_json_string(use_diff=use_diff)))
    assert found.num_params == sum(parameter.numel() for parameter in model.parameters())
    assert found.notices == ()


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers_of_weights(name: str) -> None:
    """They follow from the sizes alone."""
    family, six, more, num_params = PUBLISHED[name]
    names = ("hidden_size", "num_layers", "num_heads", "intermediate_size", "vocab_size", "max_positions")
    sizes = {ALIASES[size][0]: value for size, value in zip(names, six, strict=True)}
    assert sizes_from_hf({"model_type": family, **sizes, **more}).num_params == num_params


@pytest.mark.parametrize("family", ["llama", "opt"])
def test_what_the_engine_runs_has_the_same_sizes(family: str) -> None:
    """By either reader."""
    config = transformers.AutoConfig.for_model(family, **TINY).to_dict()
    run, sized = from_hf(config), sizes_from_hf(config)
    assert (run.num_params, run.kv_size, run.architecture) == (sized.num_params, sized.kv_size, sized.architecture)
    assert (run.activation, run.norm_eps) == (sized.activation, sized.norm_eps)


@pytest.mark.parametrize(("size", "name"), [(size, name) for size, names in ALIASES.items() for name in names])
def test_any_name_of_a_size(size: str, name: str) -> None:
    """The size is read under it; two names that say different things are refused."""
    sizes: dict[str, int] = {"hidden_size": 64, "num_heads": 4, "num_kv_heads": 4, "head_dim": 16, "num_layers": 2}
    sizes |= {"vocab_size": 50, "intermediate_size": 80, "max_positions": 32}
    named = {ALIASES[field][0]: value for field, value in sizes.items()}
    renamed = {key: value for key, value in named.items() if key != ALIASES[size][0]} | {name: sizes[size]}
    assert sizes_from_hf({"model_type": "mine", **renamed}) == sizes_from_hf({"model_type": "mine", **named})
    other = next(each for each in ALIASES[size] if each != name)
    with pytest.raises(InputError, match=f"{name}.*differ"):
        sizes_from_hf({"model_type": "mine", **renamed, other: sizes[size] + 1})


@pytest.mark.parametrize(
    ("activation", "is_gated", "said"), [("silu", True, "a gated MLP"), ("gelu", False, "an MLP of two matrices")]
)
def test_a_family_that_is_not_known_is_assumed_and_said(activation: str, is_gated: bool, said: str) -> None:
    """A Llama, whose MLP goes by the activation; with fields that are not known."""
    config = sizes_from_hf({**UNKNOWN, "hidden_act": activation, "num_wheels": 3})
    llama = sizes_from_hf({**UNKNOWN, "model_type": "llama"})
    assert config.num_params == llama.num_params - (0 if is_gated else 3 * 64 * 80)
    assumed, unused = config.notices
    assert "model_type 'mine' is not known" in assumed and f"{said} are assumed" in assumed
    assert unused == "config.json: num_wheels: not known, and not used"


def test_sizes_of_heads_where_no_field_says_them() -> None:
    """As many KV heads as heads, and hidden_size / heads values each."""
    config = sizes_from_hf(UNKNOWN)
    assert (config.num_kv_heads, config.head_dim, config.cache_ratio) == (4, 16, Fraction(1, 2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": None}, "vocab_size: it is missing"),
        ({"intermediate_size": None}, "intermediate_size: it is missing"),
        ({"num_hidden_layers": 0}, "num_hidden_layers: 0 is not accepted"),
        ({"num_attention_heads": [4, 8, 8]}, r"num_attention_heads: \[4, 8, 8\] is not accepted; a whole number"),
        ({"num_attention_heads": 5}, "hidden_size: 64 is not accepted; a multiple of the 5 attention heads is"),
        ({"num_key_value_heads": 3}, "num_key_value_heads: 3 is not accepted; a divisor of the 4 heads"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings: 'no' is not accepted; true or false is"),
        ({"norm_eps": 0}, "norm_eps: 0 is not accepted"),
    ],
)
def test_what_is_missing_or_no_size_is_named(changes: dict[str, Any], message: str) -> None:
    """By the name in the file."""
    with pytest.raises(InputError, match=message):
        sizes_from_hf({**UNKNOWN, **changes})


@settings(max_examples=200)
@given(
    family=st.sampled_from([*FAMILIES, "mine"]),
    changes=st.dictionaries(st.sampled_from(sorted(USED | {"hidden_act", "num_ln_in_parallel_attn"})), VALUES),
)
def test_any_values_give_sizes_or_one_message(family: str, changes: dict[str, Any]) -> None:
    """Whatever its fields hold, a file is read with a positive number of weights, or refused as input."""
    with suppress(InputError):
        assert sizes_from_hf({**UNKNOWN, "model_type": family, **changes}).num_params > 0
