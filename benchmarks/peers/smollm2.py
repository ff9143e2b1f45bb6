"""SmolLM2-135M as a Hugging Face directory, from the GGUF file that our package index has it in.

Engines that cannot read that file, or would run its quantised products, get the same numbers in fp32 so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file

from engine.models.checkpoint import load_model
from engine.models.config import ModelConfig
from engine.models.weights import Layer


def write_directory(folder: Path) -> None:
    """Write config.json and model.safetensors; no tokenizer, as prompts are tokens."""
    loaded = load_model("smollm2")
    config, weights = loaded.config, loaded.weights
    tensors = {"model.embed_tokens.weight": weights.embed, "model.norm.weight": weights.final_norm.weight}
    for number, layer in enumerate(weights.layers):
        tensors |= {f"model.layers.{number}.{name}.weight": tensor for name, tensor in _layer(layer, config)}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(_config(config)), encoding="utf-8")


def _layer(layer: Layer, config: ModelConfig) -> Iterator[tuple[str, torch.Tensor]]:
    query, shared = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    yield from zip(
        ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        torch.split(layer.qkv.weight, [query, shared, shared]),
        strict=True,
    )
    yield from zip(("mlp.gate_proj", "mlp.up_proj"), layer.up.weight.chunk(2), strict=True)
    yield "self_attn.o_proj", layer.out.weight
    yield "mlp.down_proj", layer.down.weight
    yield "input_layernorm", layer.attn_norm.weight
    yield "post_attention_layernorm", layer.mlp_norm.weight


def _config(config: ModelConfig) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.max_positions,
        "hidden_act": config.activation,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "tie_word_embeddings": config.tied,
        "attention_bias": config.attention_bias,
        "mlp_bias": config.mlp_bias,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": list(config.eos_token_ids),
        "torch_dtype": "float32",
    }
