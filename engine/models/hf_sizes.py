"""Reads the sizes of any decoder-only model, dense or with experts, from its config.json: for its memory and time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.config import ModelConfig
from engine.models.faults import renamed
from engine.models.hf_config import ACTIVATION_OF, whole_share
from engine.models.hf_costless import unused_fields
from engine.models.hf_families import FAMILIES, GATING, Family, Flag, assumed_family
from engine.models.hf_uncounted import LOOKED_AT, check_countable, check_windows
from engine.models.size_checks import check_size

Json = Mapping[str, Any]

# Names of a size in files; those that are there have to agree.
ALIASES: Mapping[str, tuple[str, ...]] = {
    "hidden_size": ("hidden_size", "n_embd", "n_embed", "d_model"),
    "num_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "num_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "num_kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "n_kv_heads", "multi_query_group_num"),
    "head_dim": ("head_dim", "kv_channels", "head_size"),
    "intermediate_size": ("intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner", "d_ff"),
    "vocab_size": ("vocab_size", "padded_vocab_size"),
    "max_positions": (
        "max_position_embeddings",
        "n_positions",
        "n_ctx",
        "max_seq_len",
        "max_sequence_length",
        "seq_length",
    ),
}
ACTIVATIONS = ("hidden_act", "hidden_activation", "activation_function", "activation")
NORM_EPS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps")
USED = {name for names in ALIASES.values() for name in names} | {*ACTIVATIONS, *NORM_EPS} | LOOKED_AT
USED |= {"tie_word_embeddings", "multi_query", "new_decoder_architecture"}


def sizes_from_hf(config: Json, name: str = "") -> ModelConfig:
    """The sizes and parts that a config.json describes, also of models that the engine does not run.

    Known families (`FAMILIES`) have their parts, and transformers' defaults for absent fields, except the sizes, which
    have to be there. Any other family is assumed to be a Llama, with a notice. RoPE and end-of-text tokens are left
    out, for no cost depends on them.

    Raises
    ------
    InputError
        A size is missing, or something would be counted wrongly: field, value, what is accepted.
    """
    family, notices = _family(config)
    content = {**{key: value for key, value in family.defaults.items() if key not in config}, **config}
    check_countable(content, with_experts=family.experts is not None)
    sizes = _sizes(content, family)
    check_windows(content, sizes["max_positions"])
    parts = family.architecture
    if family.vary is not None:
        parts = dataclasses.replace(parts, **family.vary(content))
    activation = str(_first(content, ACTIVATIONS, ""))
    with renamed({field: names[0] for field, names in ALIASES.items()}):
        return ModelConfig(
            architecture=parts,
            **sizes,
            activation=ACTIVATION_OF.get(activation, activation),
            norm_eps=_first(content, NORM_EPS, 1e-5),
            attention_bias=_flag(content, family.out_bias),
            qkv_bias=_flag(content, family.qkv_bias),
            mlp_bias=_flag(content, family.mlp_bias),
            head_bias=_flag(content, family.head_bias),
            tied=_flag(content, "tie_word_embeddings"),
            experts=None if family.experts is None else family.experts(content, sizes["num_layers"]),
            name=name,
            notices=(*notices, *unused_fields(config, USED | family.fields)),
        )


def _family(config: Json) -> tuple[Family, tuple[str, ...]]:
    """The family of its model_type, and a notice if that is not known."""
    model_type = config.get("model_type") or ""
    if not isinstance(model_type, str):
        raise InputError(f"model_type: {shown(model_type)} is not accepted; a name is")
    if model_type in FAMILIES:
        return FAMILIES[model_type], ()
    activation = str(_first(config, ACTIVATIONS, "silu"))
    mlp = "a gated MLP" if activation in GATING else "an MLP of two matrices"
    return assumed_family(model_type, activation), (
        f"config.json: model_type {shown(model_type)} is not known: RMSNorm, RoPE, no biases but attention_bias and "
        f"mlp_bias, and, by its activation, {mlp} are assumed",
    )


def _sizes(config: Json, family: Family) -> dict[str, Any]:
    given = {size: _common_value(config, names) for size, names in ALIASES.items()}
    found = {size: value for size, value in given.items() if value is not None}
    if config.get("multi_query") is True and config.get("new_decoder_architecture") is not True:
        found["num_kv_heads"] = 1  # whatever Falcon's num_kv_heads says
    if family.ffn_multiple is not None and "hidden_size" in found:
        found.setdefault("intermediate_size", family.ffn_multiple * found["hidden_size"])
    if "num_heads" in found:
        found.setdefault("num_kv_heads", found["num_heads"])
        if "hidden_size" in found and "head_dim" not in found:
            found["head_dim"] = whole_share(found["hidden_size"], found["num_heads"])
    for size, names in ALIASES.items():
        if size not in found:
            raise InputError(f"{names[0]}: it is missing; a whole number is needed")
    return found


def _common_value(config: Json, names: tuple[str, ...]) -> int | None:
    """The common value of the fields of these names; None where none is there."""
    values = {name: check_size(name, config[name]) for name in names if config.get(name) is not None}
    if len(set(values.values())) > 1:
        raise InputError(f"{', '.join(values)}: {list(values.values())} differ, which is not accepted; one of them is")
    return next(iter(values.values()), None)


def _first(config: Json, names: tuple[str, ...], default: Any) -> Any:
    return next((config[name] for name in names if config.get(name) is not None), default)


def _flag(config: Json, flag: Flag) -> bool:
    """The flag itself, or the value of the field that it names; absent or null is false."""
    value = flag if isinstance(flag, bool) else config.get(flag)
    if not isinstance(value, bool) and value is not None:
        raise InputError(f"{flag}: {shown(value)} is not accepted; true or false is")
    return bool(value)
