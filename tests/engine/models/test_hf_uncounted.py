"""What the cost model would count wrongly is refused by name; what looks like it and is not, is taken."""

from __future__ import annotations

import re
from typing import Any

import pytest
import transformers

from aptsched import InputError
from engine.models.hf_sizes import sizes_from_hf
from engine.models.hf_uncounted import UNCOUNTED

transformers.utils.logging.set_verbosity_error()
SIZES: dict[str, Any] = {
    "model_type": "mistral",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "intermediate_size": 80,
    "vocab_size": 50,
    "max_position_embeddings": 128,
    "sliding_window": None,
}


@pytest.mark.parametrize(
    ("reason", "field"), [(reason, field) for reason, names in UNCOUNTED.items() for field in names]
)
def test_each_field_is_refused_with_its_reason(reason: str, field: str) -> None:
    """And taken with null or a value that says that the model is none of those."""
    with pytest.raises(InputError, match=f"^{field}: 'x' is not accepted: {re.escape(reason)}"):
        sizes_from_hf({**SIZES, field: "x"})
    for value in (None, *UNCOUNTED[reason][field]):
        assert sizes_from_hf({**SIZES, field: value}).num_layers == 2


@pytest.mark.parametrize(
    ("model_type", "message"),
    [
        ("deepseek_v3", "kv_lora_rank: 512 .* multi-head latent attention"),
        ("deepseek_v2", "kv_lora_rank: 512 .* multi-head latent attention"),
        ("gpt_oss", "num_local_experts: 128 .* mixtures of experts of this model_type"),
        ("dbrx", "ffn_config: .* mixtures of experts of this model_type"),
        ("bert", "type_vocab_size: 2 .* encoder"),
        ("bart", "is_encoder_decoder: True .* encoder"),
        ("t5", "is_encoder_decoder: True .* encoder"),
        ("gemma2", "sliding_window: 4096 .* at least the 8192 positions"),
        ("gemma3_text", "sliding_window: 4096"),
        ("cohere2", "sliding_window: 4096 .* at least the 8192 positions"),
        ("gpt_neo", "attention_types: .* differ"),
        ("falcon_h1", "mamba_d_state: .* layers other than attention"),
        ("recurrent_gemma", "lru_width|block_types|attention_window"),
        ("qwen3_next", "num_experts|linear_num_value_heads|layer_types"),
    ],
)
def test_models_of_transformers_that_are_not_counted(model_type: str, message: str) -> None:
    """Each is named by what it has, from the file that transformers writes for it."""
    config = transformers.AutoConfig.for_model(model_type).to_dict()
    with pytest.raises(InputError, match=message):
        sizes_from_hf(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sliding_window": 64}, "sliding_window: 64 is not accepted: windows of attention are not counted"),
        ({"sliding_window": True}, "sliding_window: True"),
        ({"layer_types": ["full_attention", "linear_attention"]}, "layer_types: .* layers other than attention"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "layer_types: .* windows"),
        ({"layer_types": "full"}, "layer_types: 'full'"),
        ({"architectures": ["BertForMaskedLM"]}, "architectures: 'BertForMaskedLM' is not accepted; a decoder"),
        ({"model_type": "qwen"}, "model_type: 'qwen' is not accepted: its intermediate_size is twice"),
        ({"word_embed_proj_dim": 32}, "word_embed_proj_dim: 32 is not accepted; hidden_size is"),
        ({"head_dim": 16, "v_head_dim": 8}, "v_head_dim: 8 is not accepted; head_dim is"),
    ],
)
def test_windows_kinds_and_widths(changes: dict[str, Any], message: str) -> None:
    """A layer that does not keep all tokens, a model that makes no text, widths that differ."""
    with pytest.raises(InputError, match=message):
        sizes_from_hf({**SIZES, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"sliding_window": 128},
        {"sliding_window": 64, "use_sliding_window": False},
        {"sliding_window": 128, "layer_types": ["full_attention", "sliding_attention"]},
        {"layer_types": ["full_attention", "full_attention"]},
        {"architectures": ["MistralForCausalLM"]},
        {"architectures": ["GPT2LMHeadModel"]},
        {"word_embed_proj_dim": 64},
        {"head_dim": 16, "v_head_dim": 16},
    ],
)
def test_what_keeps_all_tokens_is_taken(changes: dict[str, Any]) -> None:
    """A window that no text outgrows, or that is not used, counts as none."""
    plain = sizes_from_hf(SIZES)
    assert sizes_from_hf({**SIZES, **changes}).num_params == plain.num_params


def test_mistral_has_a_window_unless_its_file_says_none() -> None:
    """As with transformers, whose default is 4,096 tokens."""
    silent = {key: value for key, value in SIZES.items() if key != "sliding_window"}
    assert sizes_from_hf(silent).max_positions == 128
    with pytest.raises(InputError, match="sliding_window: 4096"):
        sizes_from_hf({**silent, "max_position_embeddings": 32768})
