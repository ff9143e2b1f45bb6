"""Reads RoPE from a config.json, in the spelling of transformers 5 and in earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.faults import renamed
from engine.models.hf_fields import is_neutral
from engine.models.rope_scaling import RopeScaling

Json = Mapping[str, Any]

LENGTH = "original_max_position_embeddings"
NEEDED = {
    "default": (),
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor"),
}
OF_ALL_KINDS = {"rope_type", "type", "rope_theta", "partial_rotary_factor", LENGTH, "finetuned"}
# Values accepted for kinds that do not use these fields; null is always accepted.
NEUTRAL = {"factor": (1.0,), "attention_factor": (1.0,)}


def rope(config: Json) -> tuple[object, RopeScaling | None]:
    """The base of the frequencies, and how they are scaled.

    `rope_parameters` (transformers 5) holds all; earlier files have `rope_theta` and `rope_scaling`, with `type` for
    `rope_type`. Values given twice have to be equal.

    Raises
    ------
    InputError
        The kind of scaling is not supported, or a number is missing or not used by its kind: field, value, what is
        accepted.
    """
    field = _field(config)
    given: Json = config.get(field) or {}
    _check_whole(config, given, field)
    theta = _same({"rope_theta": config.get("rope_theta"), f"{field}: rope_theta": given.get("rope_theta")})
    names = {f"{field}: rope_type": given.get("rope_type"), f"{field}: type": given.get("type")}
    kind = _same(names) or "default"
    if not isinstance(kind, str) or kind not in NEEDED:
        raise InputError(f"{field}: rope_type {shown(kind)} is not supported; 'default', 'linear' and 'llama3' are")
    _check_numbers(given, field, kind)
    theta = 10000.0 if theta is None else theta
    if kind == "default":
        return theta, None
    numbers = {key: given[key] for key in NEEDED[kind]}
    if kind == "llama3":
        numbers["original_max_positions"] = config.get(LENGTH, given.get(LENGTH, config.get("max_position_embeddings")))
    with renamed({"rope scaling": field}):
        return theta, RopeScaling(kind, **numbers)


def _field(config: Json) -> str:
    old, new = config.get("rope_scaling"), config.get("rope_parameters")
    if old and new and old != new:
        raise InputError(
            f"rope_scaling, rope_parameters: {shown(old)} and {shown(new)} are not accepted together; one is"
        )
    return "rope_scaling" if old else "rope_parameters"


def _check_whole(config: Json, given: object, field: str) -> None:
    """Raise InputError unless the object applies to all layers and all dimensions of a head."""
    if not isinstance(given, dict):
        raise InputError(f"{field}: {shown(given)} is not accepted; an object or null is")
    for key in (key for key, value in given.items() if isinstance(value, dict)):
        raise InputError(
            f"{field}: {shown(key)} has parameters of its own, which is not supported; one set for all layers is"
        )
    share = given.get("partial_rotary_factor")
    for name, value in (
        ("partial_rotary_factor:", config.get("partial_rotary_factor")),
        (f"{field}: partial_rotary_factor", share),
    ):
        if not is_neutral(value, (1.0,)):
            raise InputError(f"{name} {shown(value)} is not supported; 1.0 is")


def _same(said: Mapping[str, object]) -> object:
    """The common value of the fields that are there; None where none is."""
    values = [value for value in said.values() if value is not None]
    if any(value != values[0] for value in values):
        raise InputError(f"{', '.join(said)}: {shown(values)} differ, which is not accepted; one of them is")
    return values[0] if values else None


def _check_numbers(given: Json, field: str, kind: str) -> None:
    for key in NEEDED[kind]:
        if not isinstance(given.get(key), (int, float)) or isinstance(given[key], bool):
            raise InputError(f"{field}: {key} {shown(given.get(key))} is not accepted; {kind} needs a number")
    for key, value in given.items():
        if key not in OF_ALL_KINDS and key not in NEEDED[kind] and not is_neutral(value, NEUTRAL.get(key, ())):
            raise InputError(
                f"{field}: {key} {shown(value)} is not supported with rope_type {kind!r}, which does not use it"
            )
