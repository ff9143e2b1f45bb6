"""Every field of a config.json is used as transformers uses it, or said, or refused by name."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import InputError
from checkpoints import LLAMA, OPT, logits_of, random_model
from engine.models import huggingface
from engine.models.hf_config import from_hf, load_config
from engine.models.hf_fields import generation_notices
from engine.models.rope import inverse_frequencies
from plain_model import plain_logits

transformers.utils.logging.disable_progress_bar()
TOKEN_IDS = list(range(3, 43))
FULL = {
    kind: transformers.AutoConfig.for_model(kind, **sizes).to_dict() for kind, sizes in (("llama", LLAMA), ("opt", OPT))
}
# Fields that change the shapes of tensors, which other tests vary, and those that transformers cannot read at random.
SHAPES = {"vocab_size", "hidden_size", "intermediate_size", "ffn_dim", "num_hidden_layers", "num_attention_heads"}
SHAPES |= {
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "architectures",
    "model_type",
    "rope_parameters",
}
MORE = {"sliding_window", "quantization_config", "rope_theta", "pretraining_tp", "layer_types", "attention_chunk_size"}
MORE |= {
    "is_causal",
    "per_layer_config",
    "logit_scale",
    "attention_multiplier",
    "num_local_experts",
    "a_field_of_nobody",
}
MORE |= {"partial_rotary_factor", "original_max_position_embeddings", "use_sliding_window", "pruned_heads"}
# What a message says where the tensors are not those of a field.
TENSORS = {"tie_word_embeddings": "lm_head.weight: the tensor is missing", "enable_bias": ".bias: not a tensor"}
TENSORS |= dict.fromkeys(("attention_bias", "mlp_bias"), ".bias: the tensor is missing")
VALUES = (
    st.booleans()
    | st.integers(-2, 40)
    | st.sampled_from(
        [2**64, 10**30, 0.5, 1.0, 3.0, 1e-6, 1e39, "gelu", "silu", "relu", "full_attention", [], {}, ["a"]]
    )
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A directory of a model of each kind."""
    directories = {kind: tmp_path_factory.mktemp(kind) for kind in FULL}
    for kind, directory in directories.items():
        random_model(kind).save_pretrained(directory)
    return directories


Result = TypeVar("Result")


def attempt(call: Callable[[], Result]) -> tuple[Result | None, str]:
    """What it gives, or the message with which it refuses."""
    try:
        return call(), ""
    except InputError as error:
        return None, str(error)


@pytest.mark.parametrize("kind", sorted(FULL))
def test_all_fields_of_transformers_are_known(kind: str) -> None:
    """A file that leaves out none of them leaves nothing to be said."""
    assert from_hf(FULL[kind]).notices == ()


def test_all_fields_of_a_generation_config_are_known() -> None:
    """At the values that transformers gives them they change nothing."""
    plain = transformers.GenerationConfig()
    assert generation_notices(plain.to_dict() | plain._get_default_generation_params()) == ()


@settings(max_examples=150)
@given(st.data())
def test_a_field_gives_the_logits_of_transformers_or_is_named(saved: dict[str, Path], data: st.DataObject) -> None:
    """Whatever value one field has: logits that are right, or a message or notice with its name."""
    kind = data.draw(st.sampled_from(sorted(saved)))
    field = data.draw(st.sampled_from(sorted((FULL[kind].keys() | MORE) - SHAPES)))
    value = data.draw(VALUES)
    directory = saved[kind]
    (directory / "config.json").write_text(json.dumps(FULL[kind] | {field: value}))
    loaded, message = attempt(lambda: huggingface.load(directory))
    if loaded is None:
        assert field in message or (field in TENSORS and TENSORS[field] in message)
        return
    config, weights = loaded
    if field not in FULL[kind] and any(field in notice for notice in config.notices):
        return
    theirs = logits_of_transformers(directory)
    if theirs is not None:
        assert (plain_logits(config, weights, TOKEN_IDS) - theirs).abs().max() <= 1e-4


def logits_of_transformers(directory: Path) -> torch.Tensor | None:
    """None where it cannot run what it reads: with a dropout of 40, a name that is a number."""
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
        return logits_of(model, TOKEN_IDS)
    except Exception:
        return None


ROPE = st.fixed_dictionaries(
    {},
    optional={
        "rope_type": st.sampled_from(
            ["default", "linear", "llama3", "yarn", "dynamic", "longrope", "proportional", None]
        ),
        "type": st.sampled_from(["linear", "llama3", None]),
        "factor": st.sampled_from([1.0, 4.0, 8, None, 10**30, float("inf")]),
        "rope_theta": st.sampled_from([10000.0, 500000, 1e9, 10**30, None]),
        "low_freq_factor": st.sampled_from([1.0, 2]),
        "high_freq_factor": st.sampled_from([4.0, 4.5]),
        "original_max_position_embeddings": st.sampled_from([16, 32]),
        "attention_factor": st.sampled_from([1.0, 1.2, None]),
        "short_factor": st.just([1.0] * 6),
        "long_factor": st.just([2.0] * 6),
        "beta_fast": st.just(16),
        "partial_rotary_factor": st.sampled_from([1.0, 0.5]),
    },
)


@settings(max_examples=300)
@given(st.sampled_from(["rope_scaling", "rope_parameters"]), ROPE, st.none() | st.sampled_from([10000.0, 500.0]))
def test_rope_is_that_of_transformers_or_refused(field: str, rope: dict[str, Any], theta: float | None) -> None:
    """In both spellings, with and without a type: frequencies to the last bit and no other factor, or one message."""
    content = {"model_type": "llama", **LLAMA, field: rope} | ({} if theta is None else {"rope_theta": theta})
    config, message = attempt(lambda: from_hf(content))
    if config is None:
        assert "rope" in message
        return
    content[field] = {key: value for key, value in rope.items() if value is not None}  # null says nothing
    read = transformers.LlamaConfig.from_dict(json.loads(json.dumps(content)))
    rotary = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(read)
    assert torch.equal(inverse_frequencies(config), rotary.inv_freq)
    assert rotary.attention_scaling == 1.0


@pytest.mark.parametrize(
    ("rope", "message"),
    [
        ({"factor": 4.0}, "rope_scaling: factor 4.0 is not supported with rope_type 'default', which does not use it"),
        (
            {"type": "linear", "factor": 2.0, "attention_factor": 1.2},
            "attention_factor 1.2 is not supported with rope_t",
        ),
        ({"rope_type": "linear", "type": "llama3", "factor": 2.0}, "rope_type, rope_scaling: type: .* differ"),
        ({"rope_theta": 5.0}, "rope_theta, rope_scaling: rope_theta: .10000.0, 5.0. differ"),
        ({"rope_type": "linear", "factor": 10**30}, "rope_scaling: factor: 1000.* is not accepted; a number from 1 to"),
    ],
)
def test_a_scaling_that_says_what_is_not_used(rope: dict[str, Any], message: str) -> None:
    """A factor without a type among them, which transformers passes over with a warning."""
    with pytest.raises(InputError, match=message):
        from_hf({"model_type": "llama", **LLAMA, "rope_theta": 10000.0, "rope_scaling": rope})


def test_both_spellings_at_once() -> None:
    """They are accepted where they say the same."""
    both = {"rope_scaling": {"rope_type": "linear", "factor": 2.0}, "rope_parameters": {"rope_theta": 5.0}}
    with pytest.raises(InputError, match=r"rope_scaling, rope_parameters: .* are not accepted together"):
        from_hf({"model_type": "llama", **LLAMA, **both})
    same = both | {"rope_parameters": both["rope_scaling"]}
    assert from_hf({"model_type": "llama", **LLAMA, **same}).rope_scaling is not None


def test_fields_that_are_not_known_are_said() -> None:
    """In one line, and they are no part of what the model is; null says nothing."""
    config = from_hf(
        {"model_type": "opt", **OPT, "mup_scale": 2.0, "unknown\n": 1, "temperature": 0.6, "nothing": None}
    )
    assert config.notices == (
        "config.json: temperature 0.6: not used; how tokens are chosen is what the options say",
        "config.json: mup_scale, unknown\\n: not known, and not used",
    )
    assert config == dataclasses.replace(config, notices=())


def test_how_tokens_would_be_chosen_is_said(saved: dict[str, Path]) -> None:
    """What generation_config.json recommends is not used."""
    directory = saved["llama"]
    (directory / "config.json").write_text(json.dumps(FULL["llama"]))
    (directory / "generation_config.json").write_text(
        '{"do_sample": true, "top_p": 0.9, "top_k": 50, "eos_token_id": 5}'
    )
    assert load_config(directory).notices == (
        "generation_config.json: do_sample True, top_p 0.9: not used; how tokens are chosen is what the options say",
        "config.json: eos_token_id 2: not used; generation_config.json has 5",
    )
