"""Tiny models in Hugging Face directories, with a tokenizer of one token a byte, for commands that load one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from engine.models.assemble import tensor_shapes
from engine.models.hf_config import from_hf

VOCABULARY = 256  # byte-level: as many as there are bytes
CHAT_TEMPLATE = "{% for m in messages %}<{{ m['role'] }}> {{ m['content'] }}\n{% endfor %}<assistant>"
SIZES = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": 256,
}
OPT = {"model_type": "opt", "ffn_dim": 48, "eos_token_id": None, **SIZES}
LLAMA = {"model_type": "llama", "intermediate_size": 48, "eos_token_id": None, "num_key_value_heads": 1, **SIZES}


def save_model(directory: Path, config: Mapping[str, object], chat: bool = False, tokenizer: bool = True) -> str:
    """Random weights; hidden states of OPT take half of K and V, those of this Llama twice as much."""
    directory.mkdir()
    (directory / "config.json").write_text(json.dumps(config))
    generator, prefix = (
        torch.Generator().manual_seed(3),
        "model.decoder." if config["model_type"] == "opt" else "model.",
    )
    tensors = {
        name if name == "lm_head.weight" else prefix + name: 0.2 * torch.randn(shape, generator=generator)
        for name, shape in tensor_shapes(from_hf(dict(config))).items()
    }
    save_file(tensors, directory / "model.safetensors")
    if tokenizer:
        _save_tokenizer(directory)
    if chat:
        (directory / "tokenizer_config.json").write_text(json.dumps({"chat_template": CHAT_TEMPLATE}))
    return str(directory)


def _save_tokenizer(directory: Path) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(directory / "tokenizer.json"))
