"""A model's configuration from the config.json of a Hugging Face directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aptsched.errors import InputError
from engine.models.config import ModelConfig, check_size
from engine.models.rope import RopeScaling

Json = Mapping[str, Any]

ACTIVATION_OF = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
}
MODEL_TYPE_OF = {"OPTForCausalLM": "opt", "OPTModel": "opt", "LlamaForCausalLM": "llama", "LlamaModel": "llama"}
# Fields that change what is computed, and the values with which they do not. null is always accepted.
NEUTRAL: dict[str, dict[str, object]] = {
    "opt": {
        "do_layer_norm_before": True,
        "_remove_final_layer_norm": False,
        "layer_norm_elementwise_affine": True,
    },
    "llama": {"partial_rotary_factor": 1.0},
}


def from_hf(config: Json, name: str = "") -> ModelConfig:
    """The configuration that a config.json describes.

    Fields that are absent have transformers' defaults, but for the sizes, which have to be there. RoPE is read from
    `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before).

    Raises
    ------
    InputError
        Another architecture, a field that is missing, or one whose value is not supported: field, value, what is.
    """
    model_type = _model_type(config)
    _check_supported(config, model_type)
    return _opt(config, name) if model_type == "opt" else _llama(config, name)


def token_ids(field: str, given: object) -> tuple[int, ...]:
    """The tokens that a number, a list of numbers or null names."""
    listed = given if isinstance(given, list) else [] if given is None else [given]
    if any(not isinstance(i, int) or isinstance(i, bool) or i < 0 for i in listed):
        raise InputError(f"{field}: {given!r} is not accepted; a token number, a list of them or null is")
    return tuple(dict.fromkeys(listed))


def _model_type(config: Json) -> str:
    given = config.get("architectures") or []
    named = {str(architecture) for architecture in (given if isinstance(given, list) else [given])}
    for architecture in sorted(named - set(MODEL_TYPE_OF)):
        raise InputError(f"architectures: {architecture!r} is not supported; {', '.join(MODEL_TYPE_OF)} are")
    of_names = {MODEL_TYPE_OF[architecture] for architecture in named}
    model_type = str(config.get("model_type", next(iter(of_names), None)))
    if model_type not in NEUTRAL or of_names - {model_type}:
        accepted = " and ".join(map(repr, sorted(of_names or NEUTRAL)))
        raise InputError(f"model_type: {model_type!r} is not supported; {accepted} {'is' if of_names else 'are'}")
    return model_type


def _check_supported(config: Json, model_type: str) -> None:
    neutral = {"quantization_config": None, **NEUTRAL[model_type]}
    if model_type == "opt":
        neutral["word_embed_proj_dim"] = config.get("hidden_size")
    elif _window(config) < _size(config, "max_position_embeddings"):
        raise InputError(f"sliding_window: {_window(config)} is not supported; null is, or max_position_embeddings")
    for field, accepted in neutral.items():
        value = config.get(field)
        if value is not None and value != accepted:
            shown = "null" if accepted is None else accepted
            raise InputError(f"{field}: {value!r} is not supported; {shown} is")


def _window(config: Json) -> float:
    window = config.get("sliding_window")
    return window if isinstance(window, int) else float("inf")


def _opt(config: Json, name: str) -> ModelConfig:
    biased = _flag(config, "enable_bias", True)
    return ModelConfig(
        architecture="opt",
        num_kv_heads=_size(config, "num_attention_heads"),
        head_dim=_derived_head_dim(config),
        intermediate_size=_size(config, "ffn_dim"),
        activation=_activation(config, "activation_function", "relu"),
        norm_eps=1e-5,  # not in the file: torch's default
        attention_bias=biased,
        mlp_bias=biased,
        tied=_flag(config, "tie_word_embeddings", True),
        name=name,
        **_common(config, default_bos=2),
    )


def _llama(config: Json, name: str) -> ModelConfig:
    explicit = {key: _size(config, key) for key in ("head_dim", "num_key_value_heads") if config.get(key) is not None}
    theta, scaling = _rope(config)
    return ModelConfig(
        architecture="llama",
        num_kv_heads=explicit.get("num_key_value_heads", _size(config, "num_attention_heads")),
        head_dim=explicit["head_dim"] if "head_dim" in explicit else _derived_head_dim(config),
        intermediate_size=_size(config, "intermediate_size"),
        activation=_activation(config, "hidden_act", "silu"),
        norm_eps=config.get("rms_norm_eps", 1e-6),
        rope_theta=theta,
        rope_scaling=scaling,
        attention_bias=_flag(config, "attention_bias", False),
        mlp_bias=_flag(config, "mlp_bias", False),
        tied=_flag(config, "tie_word_embeddings", False),
        name=name,
        **_common(config, default_bos=1),
    )


def _common(config: Json, default_bos: int) -> dict[str, Any]:
    return {
        "vocab_size": _size(config, "vocab_size"),
        "hidden_size": _size(config, "hidden_size"),
        "num_layers": _size(config, "num_hidden_layers"),
        "num_heads": _size(config, "num_attention_heads"),
        "max_positions": _size(config, "max_position_embeddings"),
        "bos_token_id": next(iter(token_ids("bos_token_id", config.get("bos_token_id", default_bos))), None),
        "eos_token_ids": token_ids("eos_token_id", config.get("eos_token_id", 2)),
    }


def _rope(config: Json) -> tuple[float, RopeScaling | None]:
    field = "rope_scaling" if config.get("rope_scaling") else "rope_parameters"
    given = config.get(field) or {}
    if not isinstance(given, dict):
        raise InputError(f"{field}: {given!r} is not accepted; an object or null is")
    for key in (key for key, value in given.items() if isinstance(value, dict)):
        raise InputError(
            f"{field}: {key!r} has parameters of its own, which is not supported; one set for all layers is"
        )
    theta: Any = given.get("rope_theta", config.get("rope_theta", 10000.0))
    if given.get("partial_rotary_factor", 1.0) != 1.0:
        raise InputError(f"{field}: partial_rotary_factor {given['partial_rotary_factor']!r} is not supported; 1.0 is")
    kind = given.get("rope_type", given.get("type", "default"))
    if kind == "default":
        return theta, None
    if kind not in ("linear", "llama3"):
        raise InputError(f"{field}: rope_type {kind!r} is not supported; 'default', 'linear' and 'llama3' are")
    return theta, RopeScaling(kind, **_scaling_numbers(config, given, field, kind))


def _scaling_numbers(config: Json, given: Json, field: str, kind: str) -> dict[str, Any]:
    needed = ["factor"] if kind == "linear" else ["factor", "low_freq_factor", "high_freq_factor"]
    for key in needed:
        if not isinstance(given.get(key), (int, float)) or isinstance(given[key], bool):
            raise InputError(f"{field}: {key} {given.get(key)!r} is not accepted; {kind} needs a number")
    numbers = {key: given[key] for key in needed}
    if kind == "linear":
        return numbers
    key = "original_max_position_embeddings"
    positions = config.get(key, given.get(key, config.get("max_position_embeddings")))
    return {**numbers, "original_max_positions": check_size(f"{field}: {key}", positions)}


def _derived_head_dim(config: Json) -> int:
    hidden_size, heads = _size(config, "hidden_size"), _size(config, "num_attention_heads")
    if hidden_size % heads:
        raise InputError(f"hidden_size: {hidden_size} is not accepted; a multiple of the {heads} attention heads is")
    return hidden_size // heads


def _size(config: Json, field: str) -> int:
    if field not in config:
        raise InputError(f"{field}: it is missing; a whole number is needed")
    return check_size(field, config[field])


def _flag(config: Json, field: str, default: bool) -> bool:
    value = config.get(field, default)
    if not isinstance(value, bool):
        raise InputError(f"{field}: {value!r} is not accepted; true or false is")
    return value


def _activation(config: Json, field: str, default: str) -> str:
    value = config.get(field, default)
    if not isinstance(value, str) or value not in ACTIVATION_OF:
        raise InputError(f"{field}: {value!r} is not supported; {', '.join(ACTIVATION_OF)} are")
    return ACTIVATION_OF[value]
