"""The whole calibration on the device, rho with hidden states absorbed and rebuilt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.rig import Rig
from benchmarks.tables import Row
from engine.calibration import calibration_json
from engine.calibration.measure import Calibration
from engine.models.hidden_attention import HIDDEN_ATTENTION
from engine.study.real_model import calibrated


def rows(rig: Rig) -> Iterator[Row]:
    """For OPT-13B's shape, whose calibrations are kept as files, and for Llama-2-7B's, where keys are turned."""
    for name in ("opt-13b", "llama-2-7b"):
        model = rig.model(rig.config(name))
        for how in HIDDEN_ATTENTION:
            measured = calibrated(model, hidden_attention=how)
            if name == "opt-13b":
                calibration_json.save(measured, file_of(rig.out, how))
            yield row(f"{name}, {how}", measured)


def file_of(out: Path, how: str) -> Path:
    """Where the calibration of OPT-13B's shape is, with hidden states read in that way."""
    return out / f"calibration-{how}.json"


def row(name: str, measured: Calibration) -> Row:
    """The times of a calibration."""
    times = measured.times
    return {
        "hidden_states": name,
        "fixed_ms": 1e3 * times.fixed_s,
        "token_us": 1e6 * times.per_token_s,
        "decode_us": 1e6 * times.per_decode_s,
        "context_token_ns": 1e9 * times.per_context_token_s,
        "rho_us": 1e6 * times.rho_s_per_block,
        "r_squared": "-" if measured.r_squared is None else measured.r_squared,
        "rebuild_us": 1e6 * times.rebuild_s_per_block,
        "swap_us": 1e6 * measured.swap_s_per_block,
        "absorb_up_to": measured.absorb_up_to,
    }
