"""Models of any sizes and kinds, in files of any format, against transformers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoints import LLAMA3_ROPE, logits_of, random_model, write_gguf
from engine.models.checkpoint import load_model
from engine.models.weights import expand_kv_heads
from plain_model import plain_logits

TOKEN_IDS = list(range(3, 33))
BOTH = {"vocab_size": st.integers(40, 99), "tie_word_embeddings": st.booleans(), "num_hidden_layers": st.integers(1, 3)}
LLAMA = st.fixed_dictionaries(
    {
        **BOTH,
        "num_key_value_heads": st.sampled_from([1, 2, 4]),
        "intermediate_size": st.sampled_from([8, 40]),
        "rms_norm_eps": st.sampled_from([1e-6, 1e-3, 0.5]),
        "attention_bias": st.booleans(),
        "mlp_bias": st.booleans(),
        "rope_parameters": st.sampled_from(
            [{"rope_type": "default", "rope_theta": theta} for theta in (10.0, 1e6)]
            + [{"rope_type": "linear", "rope_theta": 1e4, "factor": 2.5}, LLAMA3_ROPE]
        ),
    },
    optional={
        "head_dim": st.sampled_from([2, 6, 16]),
        "hidden_act": st.sampled_from(["silu", "gelu", "relu", "gelu_new"]),
    },
)
OPT = st.fixed_dictionaries(
    {
        **BOTH,
        "ffn_dim": st.sampled_from([8, 40]),
        "enable_bias": st.booleans(),
        "activation_function": st.sampled_from(["relu", "gelu", "gelu_new", "silu"]),
        "max_position_embeddings": st.integers(32, 64),
    }
)


def write(directory: Path, model: Any, form: str) -> Path:
    """The model in that format; what to load."""
    model.config.save_pretrained(directory)
    if form == "gguf":
        write_gguf(directory / "model.gguf", model)
        return directory / "model.gguf"
    if form == "bin":
        torch.save(model.state_dict(), directory / "pytorch_model.bin")
    else:
        model.save_pretrained(directory, max_shard_size="20KB" if form == "shards" else "1GB")
    return directory


@settings(max_examples=25)
@given(st.data())
def test_a_drawn_model_has_the_logits_of_transformers(data: st.DataObject) -> None:
    """Its twin with as many KV heads as heads too."""
    kind = data.draw(st.sampled_from(["llama", "opt"]))
    changes: dict[str, Any] = data.draw(LLAMA if kind == "llama" else OPT)
    forms = ["safetensors", "shards", "bin"]
    is_gguf = (
        kind == "llama"
        and changes.get("hidden_act", "silu") == "silu"
        and changes["rope_parameters"].get("factor") != 2.5
    )
    form = data.draw(st.sampled_from([*forms, "gguf"] if is_gguf else forms))
    model = random_model(kind, **changes)
    with tempfile.TemporaryDirectory() as directory:
        loaded = load_model(write(Path(directory), model, form))
    reference = logits_of(model, TOKEN_IDS)
    for config, weights in ((loaded.config, loaded.weights), expand_kv_heads(loaded.config, loaded.weights)):
        assert (plain_logits(config, weights, TOKEN_IDS) - reference).abs().max() <= 1e-4 + 1e-5 * reference.abs().max()
    assert (loaded.config.tied, loaded.config.notices) == (changes["tie_word_embeddings"], ())
