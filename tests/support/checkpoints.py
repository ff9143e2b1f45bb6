"""Tiny models as transformers saves them, and as GGUF files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gguf
import numpy as np
import torch
import transformers
from hypothesis import HealthCheck, settings
from safetensors.torch import load_file, save_file

from engine.models import architecture, huggingface
from engine.models.config import ModelConfig
from engine.models.weights import Linear, Norm, Weights
from plain_model import plain_logits

HF_ACTIVATION = {"gelu_tanh": "gelu_pytorch_tanh"}
OPT_NAMES = {
    "attn_norm": "self_attn_layer_norm",
    "out": "self_attn.out_proj",
    "mlp_norm": "final_layer_norm",
    "down": "fc2",
}
LLAMA_NAMES = {
    "attn_norm": "input_layernorm",
    "out": "self_attn.o_proj",
    "mlp_norm": "post_attention_layernorm",
    "down": "mlp.down_proj",
}
LLAMA: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 48,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
OPT: dict[str, Any] = {
    "vocab_size": 99,
    "hidden_size": 48,
    "ffn_dim": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
LLAMA3_ROPE: dict[str, Any] = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


# Of Hypothesis, for examples that write into the same directory one after the other.
of_one_directory = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def random_model(kind: str, **changes: Any) -> Any:
    """A transformers model whose tensors, biases and norms included, are all random."""
    config = transformers.OPTConfig(**OPT | changes) if kind == "opt" else transformers.LlamaConfig(**LLAMA | changes)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def logits_of(model: Any, token_ids: list[int]) -> torch.Tensor:
    """Its logits after each token, [n, vocab]."""
    with torch.inference_mode():
        logits: torch.Tensor = model(torch.tensor([token_ids])).logits[0]
    return logits


def as_transformers(config: ModelConfig, weights: Weights) -> Any:
    """The transformers model that has our weights: its parameters are views of them."""
    common = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "max_position_embeddings": config.max_positions,
        "tie_word_embeddings": config.tied,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": list(config.eos_token_ids) or None,
        "pad_token_id": None,
    }
    of_config = _opt_config if config.architecture == architecture.OPT else _llama_config
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(of_config(config, common), dtype=weights.embed.dtype)
    tensors = dict(_unfused(config, weights))
    prefix = "model.decoder." if config.architecture == architecture.OPT else "model."
    state = {name if name == "lm_head.weight" else prefix + name: tensor for name, tensor in tensors.items()}
    model.load_state_dict(state, strict=not config.tied, assign=True)
    model.tie_weights()
    if config.architecture == architecture.LLAMA:  # its buffers are in no checkpoint
        rotary = type(model.model.rotary_emb)(model.config)
        model.model.rotary_emb = rotary.to(weights.embed.device)
    return model.eval()


def _opt_config(config: ModelConfig, common: dict[str, Any]) -> Any:
    return transformers.OPTConfig(
        **common,
        ffn_dim=config.intermediate_size,
        activation_function=HF_ACTIVATION.get(config.activation, config.activation),
        enable_bias=config.attention_bias,
    )


def _llama_config(config: ModelConfig, common: dict[str, Any]) -> Any:
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": config.rope_theta}
    if (scaling := config.rope_scaling) is not None:
        rope |= {"rope_type": scaling.kind, "factor": scaling.factor}
        if scaling.kind == "llama3":
            rope |= {"low_freq_factor": scaling.low_freq_factor, "high_freq_factor": scaling.high_freq_factor}
            rope |= {"original_max_position_embeddings": scaling.original_max_positions}
    return transformers.LlamaConfig(
        **common,
        intermediate_size=config.intermediate_size,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        hidden_act=HF_ACTIVATION.get(config.activation, config.activation),
        rms_norm_eps=config.norm_eps,
        rope_parameters=rope,
        attention_bias=config.attention_bias,
        mlp_bias=config.mlp_bias,
    )


def _unfused(config: ModelConfig, weights: Weights) -> Iterator[tuple[str, torch.Tensor]]:
    """Tensors by their names in a checkpoint, without prefix."""
    is_opt, dim = config.architecture == architecture.OPT, config.head_dim
    rows = [config.num_heads * dim, config.num_kv_heads * dim, config.num_kv_heads * dim]
    yield from (("embed_tokens.weight", weights.embed), ("lm_head.weight", weights.lm_head))
    if weights.positions is not None:
        yield "embed_positions.weight", torch.cat([torch.zeros_like(weights.positions[:2]), weights.positions])
    yield from _named("final_layer_norm" if is_opt else "norm", weights.final_norm)
    for i, layer in enumerate(weights.layers):
        names = OPT_NAMES if is_opt else LLAMA_NAMES
        yield from _parts(f"layers.{i}.self_attn.", ["q_proj", "k_proj", "v_proj"], layer.qkv, rows)
        up = ["fc1"] if is_opt else ["mlp.gate_proj", "mlp.up_proj"]
        yield from _parts(f"layers.{i}.", up, layer.up, [config.intermediate_size] * len(up))
        for field, name in names.items():
            yield from _named(f"layers.{i}.{name}", getattr(layer, field))


def _parts(prefix: str, names: list[str], fused: Linear, rows: list[int]) -> Iterator[tuple[str, torch.Tensor]]:
    biases = [None] * len(names) if fused.bias is None else torch.split(fused.bias, rows)
    for name, weight, bias in zip(names, torch.split(fused.weight, rows), biases, strict=True):
        yield from _named(prefix + name, Linear(weight, bias))


def _named(name: str, part: Linear | Norm) -> Iterator[tuple[str, torch.Tensor]]:
    yield f"{name}.weight", part.weight
    if part.bias is not None:
        yield f"{name}.bias", part.bias


def write_gguf(
    path: Path,
    model: Any,
    kind: gguf.GGMLQuantizationType = gguf.GGMLQuantizationType.F32,
    metadata: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """A Llama as llama.cpp has it: names of its own, rows of q and k in the order of interleaved RoPE."""
    config, tensors = model.config, model.state_dict()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    for key in ("key_length", "value_length"):
        writer.add_uint32(f"llama.attention.{key}", config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    for key, value in metadata.items():
        add_metadata(writer, key, value)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    if config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    for name, tensor in tensors.items():
        values = tensor.numpy()
        for part, heads in (("q_proj", config.num_attention_heads), ("k_proj", config.num_key_value_heads)):
            if part in name:
                values = values.reshape(heads, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)
        base, _, suffix = name.rpartition(".")
        of_tensor = kind if values.ndim == 2 else gguf.GGMLQuantizationType.F32
        raw = gguf.quants.quantize(np.ascontiguousarray(values), of_tensor)
        writer.add_tensor(f"{names.get_name(base)}.{suffix}", raw, raw_dtype=of_tensor)
    if config.rope_parameters["rope_type"] == "llama3":
        rotary = model.model.rotary_emb
        plain, _ = rotary.compute_default_rope_parameters(config)
        writer.add_tensor("rope_freqs.weight", (plain / rotary.inv_freq).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_metadata(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    """One metadata field, of the type in GGUF that its Python type has in files."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value) if 0 <= value < 2**32 else writer.add_int64(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)


def logits_match(directory: Path, model: Any, dtype: torch.dtype = torch.float32) -> bool:
    """Whether what is loaded from a directory computes the logits of a transformers model."""
    config, weights = huggingface.load(directory, dtype)
    token_ids = list(range(3, 43))
    reference = logits_of(model, token_ids)
    ours = plain_logits(config, weights, token_ids)
    return bool((ours - reference).abs().max() <= 1e-4 + 1e-5 * reference.abs().max())


def rewrite_tensors(directory: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Changes the tensors of a directory of one file."""
    tensors = load_file(directory / "model.safetensors")
    change(tensors)
    save_file(tensors, directory / "model.safetensors")
