"""A model's sizes as plain values, for results."""

from __future__ import annotations

from dataclasses import asdict

from engine.models.config import ModelConfig


def plain_sizes(config: ModelConfig) -> dict[str, str | int | bool]:
    """The name and all sizes that the cost of an iteration depends on, with the fields of docs/formats.md."""
    return {
        "name": config.name,
        "num_layers": config.num_layers,
        "hidden_size": config.hidden_size,
        "num_heads": config.num_heads,
        "num_kv_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.intermediate_size,
        "vocab_size": config.vocab_size,
        "max_positions": config.max_positions,
        "gated": config.architecture.is_gated,
        "tied": config.tied,
        "num_position_rows": config.num_position_rows,
        "biases": _biases(config),
        **(
            {}
            if config.experts is None
            else {f"experts_{name}": value for name, value in asdict(config.experts).items()}
        ),
    }


def _biases(config: ModelConfig) -> str:
    """Which matrices have a bias: "all" of a layer, "none", or a list out of qkv, out, mlp and head."""
    found = {
        "qkv": config.attention_bias or config.qkv_bias,
        "out": config.attention_bias,
        "mlp": config.mlp_bias,
        "head": config.head_bias,
    }
    having = [part for part, has_bias in found.items() if has_bias]
    return "all" if having == ["qkv", "out", "mlp"] else "+".join(having) or "none"
