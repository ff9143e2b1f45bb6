"""A calibration as JSON: written and read; docs/formats.md has the schema."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from aptsched.scheduling.forms import FORM_ENTRIES, CacheForm, shown_forms
from aptsched.scheduling.iteration_time import ADDED, OPTIONAL, IterationTime
from aptsched.support import fields, files
from aptsched.support.checks import MAX_COUNT, MAX_DURATION_S
from aptsched.support.errors import InputError
from aptsched.support.json_text import read_json
from engine.calibration.measure import Calibration
from engine.calibration.points import Point

SCHEMA, VERSION = "aptsched.calibration", 1
LEAST_S = 1e-9  # the shortest measurement that a file may have


def save(calibration: Calibration, path: str | os.PathLike[str]) -> None:
    """Write a calibration."""
    files.write(path, as_json(calibration))


def as_json(calibration: Calibration) -> str:
    """A calibration as JSON."""
    fitted = {"times": calibration.times.as_fields(), "r_squared": calibration.r_squared}
    names = {name: getattr(calibration, name) for name in ("model", "device", "dtype")}
    rest = {"points": list(map(_point_fields, calibration.points)), "swap_s_per_block": calibration.swap_s_per_block}
    rest["absorb_up_to"] = calibration.absorb_up_to
    document = {"schema": SCHEMA, "version": VERSION, **names, **fitted, **rest}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _point_fields(point: Point) -> dict[str, float]:
    """The fields of a point in files; a lossy form has a field only where it was measured."""
    counts = {"num_tokens": point.num_tokens, "num_context_tokens": point.num_context_tokens}
    blocks = {
        f"num_{entry.name}_kv_blocks": point.kv_blocks_by_form[entry.form]
        for entry in shown_forms(point.kv_blocks_by_form)
        if entry.form != CacheForm.KV
    }
    return {**counts, **blocks, "seconds": point.seconds, "extra_s": point.extra_s}


def load(path: str | os.PathLike[str]) -> Calibration:
    """Read a calibration.

    Raises
    ------
    InputError
        The file is no calibration: the message says what is wrong.
    """
    document = read_json(path)
    if not isinstance(document, dict) or (document.get("schema"), document.get("version")) != (SCHEMA, VERSION):
        raise InputError(f"{Path(path)}: not a file of `aptsched calibrate`; schema {SCHEMA}, version {VERSION} is")
    try:
        return _read(document)
    except InputError as error:
        raise InputError(f"{Path(path)}: {error}") from error


def _read(document: dict[str, Any]) -> Calibration:
    needed = ("schema", "version", "model", "device", "dtype", "times", "r_squared", "points")
    fields.named("calibration", document, needed, ("swap_s_per_block", "absorb_up_to"))
    model, device, dtype = (fields.text(name, document[name]) for name in ("model", "device", "dtype"))
    times = _times(document["times"])
    r_squared = document["r_squared"]
    r_squared = None if r_squared is None else fields.number("r_squared", r_squared, -1e9, 1)
    given = fields.listed("points", document["points"])
    points = tuple(_point(f"points[{i}]", point) for i, point in enumerate(given))
    swap_s = fields.number("swap_s_per_block", document.get("swap_s_per_block", 0.0), 0, MAX_DURATION_S)
    up_to = fields.whole("absorb_up_to", document.get("absorb_up_to", 0), 0, MAX_COUNT)
    return Calibration(model, device, dtype, times, r_squared, points, swap_s, up_to)


def _times(given: object) -> IterationTime:
    """Times as in a file; where K and V were rebuilt in each iteration, doing it once was not stored: it takes rho."""
    needed = (name for name in IterationTime().as_fields() if name != "rebuild_s_per_block")
    found = fields.named("times", given, needed, (*OPTIONAL, "rebuild_s_per_block"))
    least = dict.fromkeys(ADDED, -MAX_DURATION_S)
    seconds = {
        name: fields.number(f"times: {name}", value, least.get(name, 0), MAX_DURATION_S)
        for name, value in found.items()
    }
    times = IterationTime(**seconds)
    return replace(times, rebuild_s_per_block=seconds.get("rebuild_s_per_block", max(0.0, times.rho_s_per_block)))


def _point(what: str, given: object) -> Point:
    entries = [entry for entry in FORM_ENTRIES if entry.form != CacheForm.KV]
    lossy = [f"num_{entry.name}_kv_blocks" for entry in entries if entry.is_lossy]
    names = ["num_tokens", "num_context_tokens", *(f"num_{entry.name}_kv_blocks" for entry in entries)]
    found = fields.named(what, given, (*(name for name in names if name not in lossy), "seconds"), ("extra_s", *lossy))
    fed, cached, *blocks = (
        fields.whole(f"{what}: {name}", found.get(name, 0), int(name == "num_tokens"), MAX_COUNT) for name in names
    )
    seconds = fields.number(f"{what}: seconds", found["seconds"], LEAST_S, MAX_DURATION_S)
    extra_s = fields.number(f"{what}: extra_s", found.get("extra_s", 0.0), -MAX_DURATION_S, MAX_DURATION_S)
    return Point(fed, cached, (0, 0, *blocks), seconds, extra_s)
