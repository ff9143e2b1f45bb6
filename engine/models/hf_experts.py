"""Reads what experts a model has from its config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.experts import Experts
from engine.models.faults import renamed
from engine.models.size_checks import MAX_SIZE, check_size

Json = Mapping[str, Any]

# Names of a number in files; those that are there have to agree.
NUM_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
NUM_ACTIVE = ("num_experts_per_tok", "moe_k")
SHARED_SIZE = ("shared_expert_intermediate_size", "shared_intermediate_size")
NUM_SHARED = ("n_shared_experts", "moe_num_shared_experts")
OWN_SIZE = "moe_intermediate_size"
DENSE_LAYERS = (
    *("mlp_only_layers", "decoder_sparse_step", "first_k_dense_replace"),
    *("moe_layer_start_index", "moe_layer_end_index", "moe_layer_interval"),
)
EXPERT_FIELDS = frozenset({*NUM_EXPERTS, *NUM_ACTIVE, *SHARED_SIZE, *NUM_SHARED, OWN_SIZE, *DENSE_LAYERS})


def experts_of(
    config: Json,
    num_layers: int,
    *,
    size_field: str = "intermediate_size",
    can_be_dense: bool = False,
    has_shared_gate: bool = False,
    has_router_bias: bool = False,
) -> Experts | None:
    """The experts that a config.json describes; None where no layer has them.

    Parameters
    ----------
    config : mapping
    num_layers : int
    size_field : str
        The field that has the width of an expert.
    can_be_dense : bool
        Whether 0 experts mean a dense model, as in Qwen's families; else at least one is needed.
    has_shared_gate, has_router_bias : bool

    Raises
    ------
    InputError
        A number is missing, or none: field, value, what is accepted.
    """
    num_experts = _count(config, NUM_EXPERTS, least=0 if can_be_dense else 1)
    num_dense = num_layers - len(_expert_layers(config, num_layers))
    if num_experts == 0 or num_dense == num_layers:
        return None
    if config.get(size_field) is None:
        raise InputError(f"{size_field}: it is missing; a whole number is needed")
    size = check_size(size_field, config[size_field])
    shared = _count(config, NUM_SHARED, 0) * size or _count(config, SHARED_SIZE, 0)
    with renamed({"num_active": NUM_ACTIVE[0]}):
        return Experts(
            num_experts=num_experts,
            num_active=_count(config, NUM_ACTIVE),
            intermediate_size=size,
            shared_size=shared,
            has_shared_gate=has_shared_gate,
            has_router_bias=has_router_bias,
            num_dense_layers=num_dense,
        )


def _count(config: Json, names: tuple[str, ...], default: int | None = None, least: int = 0) -> int:
    """The common number of the fields of these names."""
    found = {name: _whole(name, config[name], least) for name in names if config.get(name) is not None}
    if len(set(found.values())) > 1:
        raise InputError(f"{', '.join(found)}: {list(found.values())} differ, which is not accepted; one of them is")
    value = next(iter(found.values()), default)
    if value is None:
        raise InputError(f"{names[0]}: it is missing; a whole number is needed")
    return value


def _whole(name: str, value: object, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= MAX_SIZE:
        raise InputError(f"{name}: {shown(value)} is not accepted; a whole number from {least} to {MAX_SIZE} is")
    return value


def _expert_layers(config: Json, num_layers: int) -> list[int]:
    """The layers with experts: by which of them are dense, from which on, and each how many-th."""
    dense = config.get("mlp_only_layers") or []
    if not isinstance(dense, list) or any(type(layer) is not int for layer in dense):
        raise InputError(f"mlp_only_layers: {shown(dense)} is not accepted; a list of layers is")
    step = _one_of(config, ("decoder_sparse_step", "moe_layer_interval"), 1, least=1)
    first = _one_of(config, ("first_k_dense_replace", "moe_layer_start_index"), 0)
    last = config.get("moe_layer_end_index")
    last = num_layers - 1 if last in (None, -1) else _whole("moe_layer_end_index", last)
    return [i for i in range(first, min(last + 1, num_layers)) if i not in dense and (i + 1) % step == 0]


def _one_of(config: Json, names: tuple[str, str], default: int, least: int = 0) -> int:
    return next((_whole(name, config[name], least) for name in names if config.get(name) is not None), default)
