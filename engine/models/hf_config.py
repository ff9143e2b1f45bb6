"""A model's configuration from the config.json of a Hugging Face directory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.architecture import EXECUTABLE, LLAMA, OPT
from engine.models.config import ModelConfig
from engine.models.faults import located, renamed
from engine.models.hf_fields import check_fields, generation_notices
from engine.models.hf_rope import rope
from engine.models.json_object import read_json
from engine.models.size_checks import check_size

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
# Fields of a ModelConfig by their names in the file.
NAMES = {
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "max_positions": "max_position_embeddings",
    "bos and eos tokens": "bos_token_id, eos_token_id",
}
LLAMA_NAMES = {"num_kv_heads": "num_key_value_heads", "norm_eps": "rms_norm_eps"}


def from_hf(config: Json, name: str = "") -> ModelConfig:
    """The configuration that a config.json describes.

    Absent fields have transformers' defaults, except the sizes, which have to be there. RoPE is read from
    `rope_parameters` (transformers 5) or `rope_theta` and `rope_scaling` (before). Its notices name unknown fields, and
    fields about how tokens are chosen.

    Raises
    ------
    InputError
        The architecture is another one, a field is missing, or a value is not supported: field, value, what is.
    """
    model_type = _model_type(config)
    notices = check_fields(config, model_type)
    if model_type == "opt":
        with renamed(NAMES | {"intermediate_size": "ffn_dim"}):
            return ModelConfig(name=name, notices=notices, **_opt(config))
    with renamed(NAMES | LLAMA_NAMES):
        return ModelConfig(name=name, notices=notices, **_llama(config))


def load_config(directory: str | os.PathLike[str]) -> ModelConfig:
    """The configuration in a directory, with the end-of-text tokens that transformers' `generate` would stop at.

    These are those of generation_config.json if it exists, even if it names none, else those of config.json; the
    default of the configuration's class is ignored.
    """
    path, generation = Path(directory) / "config.json", Path(directory) / "generation_config.json"
    content = read_json(path)
    with located(path):
        config = from_hf(content, name=Path(directory).resolve().name)
        eos = token_ids("eos_token_id", content.get("eos_token_id"))
    if not os.path.lexists(generation):
        return dataclasses.replace(config, eos_token_ids=eos)
    content = read_json(generation)
    with located(generation):
        counting = token_ids("eos_token_id", content.get("eos_token_id"))
    notices = (*config.notices, *generation_notices(content), *_end_notices(eos, counting))
    return dataclasses.replace(config, eos_token_ids=counting, notices=notices)


def _end_notices(given: tuple[int, ...], counting: tuple[int, ...]) -> tuple[str, ...]:
    """A notice about tokens that end a text by config.json but not by generation_config.json."""
    unused = ", ".join(str(i) for i in given if i not in counting)
    named = ", ".join(map(str, counting)) or "none"
    return (f"config.json: eos_token_id {unused}: not used; generation_config.json has {named}",) if unused else ()


def token_ids(field: str, given: object) -> tuple[int, ...]:
    """The tokens given as a number, a list of numbers or null."""
    listed = given if isinstance(given, list) else [] if given is None else [given]
    if any(not isinstance(i, int) or isinstance(i, bool) or i < 0 for i in listed):
        raise InputError(f"{field}: {shown(given)} is not accepted; a token number, a list of them or null is")
    return tuple(dict.fromkeys(listed))


def _model_type(config: Json) -> str:
    given = config.get("architectures") or []
    named = {str(architecture) for architecture in (given if isinstance(given, list) else [given])}
    for architecture in sorted(named - set(MODEL_TYPE_OF)):
        raise InputError(f"architectures: {shown(architecture)} is not supported; {', '.join(MODEL_TYPE_OF)} are")
    of_names = {MODEL_TYPE_OF[architecture] for architecture in named}
    model_type = config.get("model_type", next(iter(of_names), None))
    if not isinstance(model_type, str) or model_type not in EXECUTABLE or of_names - {model_type}:
        accepted = " and ".join(map(repr, sorted(of_names or EXECUTABLE)))
        raise InputError(f"model_type: {shown(model_type)} is not supported; {accepted} {'is' if of_names else 'are'}")
    return model_type


def _opt(config: Json) -> dict[str, Any]:
    biased = _flag(config, "enable_bias", True)
    return {
        "architecture": OPT,
        "num_kv_heads": _size(config, "num_attention_heads"),
        "head_dim": _derived_head_dim(config),
        "intermediate_size": _size(config, "ffn_dim"),
        "activation": _activation(config, "activation_function", "relu"),
        "norm_eps": 1e-5,  # not in the file: torch's default
        "attention_bias": biased,
        "mlp_bias": biased,
        "tied": _flag(config, "tie_word_embeddings", True),
        **_common(config, default_bos=2),
    }


def _llama(config: Json) -> dict[str, Any]:
    explicit = {key: _size(config, key) for key in ("head_dim", "num_key_value_heads") if config.get(key) is not None}
    theta, scaling = rope(config)
    return {
        "architecture": LLAMA,
        "num_kv_heads": explicit.get("num_key_value_heads", _size(config, "num_attention_heads")),
        "head_dim": explicit["head_dim"] if "head_dim" in explicit else _derived_head_dim(config),
        "intermediate_size": _size(config, "intermediate_size"),
        "activation": _activation(config, "hidden_act", "silu"),
        "norm_eps": config.get("rms_norm_eps", 1e-6),
        "rope_theta": theta,
        "rope_scaling": scaling,
        "attention_bias": _flag(config, "attention_bias", False),
        "mlp_bias": _flag(config, "mlp_bias", False),
        "tied": _flag(config, "tie_word_embeddings", False),
        **_common(config, default_bos=1),
    }


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


def _derived_head_dim(config: Json) -> int:
    return whole_share(_size(config, "hidden_size"), _size(config, "num_attention_heads"))


def whole_share(hidden_size: int, heads: int) -> int:
    """Values of a head if the file does not say: hidden_size / heads, which has to be whole."""
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
        raise InputError(f"{field}: {shown(value)} is not accepted; true or false is")
    return value


def _activation(config: Json, field: str, default: str) -> str:
    value = config.get(field, default)
    if not isinstance(value, str) or value not in ACTIVATION_OF:
        raise InputError(f"{field}: {shown(value)} is not supported; {', '.join(ACTIVATION_OF)} are")
    return ACTIVATION_OF[value]
