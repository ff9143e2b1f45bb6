"""What the plug-in is told: by vLLM's `--additional-config`, else by the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.record import SLO
from aptsched.support.errors import InputError
from aptsched.support.number_text import read_number
from aptsched.support.shown import shown
from engine.calibration import calibration_json

SECTION = "aptsched"  # of the additional config
PREFIX = "APTSCHED_"  # of names in the environment
ACCEPTED = {str: (str, "a text"), int: (str | int, "a whole number"), float: (str | int | float, "a number")}
NO_TIMES = IterationTime()  # nobody knows: `fitted(POLICY)` learns them


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of the plug-in.

    Parameters
    ----------
    policy : str
        As `load_policy` reads it.
    slo_ttft_s, slo_tpot_s : float
        Objectives of requests that name none, in seconds.
    times : str
        A calibration by which policies predict iterations; without one, all take no time, which `fitted(...)` corrects.
    certificates : str
        A file to which each certified decision is written, as `aptsched verify` reads it; none without a name.
    metrics_port : int
        Where Prometheus finds the figures of this scheduler; 0 for nowhere.
    """

    policy: str = "fitted(shed(vllm-v1))"
    slo_ttft_s: float = 1.0
    slo_tpot_s: float = 0.5
    times: str = ""
    certificates: str = ""
    metrics_port: int = 0

    def __post_init__(self) -> None:
        SLO(self.slo_ttft_s, self.slo_tpot_s)  # which checks them
        if not 0 <= self.metrics_port < 2**16:
            raise InputError(f"metrics_port: {self.metrics_port} is not accepted; 0 to 65535 are")

    @property
    def slo(self) -> SLO:
        """The objectives of requests that name none."""
        return SLO(self.slo_ttft_s, self.slo_tpot_s)

    @property
    def iteration_times(self) -> IterationTime:
        """The times of the calibration."""
        return calibration_json.load(self.times).times if self.times else NO_TIMES


def read_settings(additional: object, environment: Mapping[str, str]) -> Settings:
    """The settings: those in the section "aptsched" of the additional config, and of the environment in their absence.

    A variable is the name of its setting in capitals, with APTSCHED_ before it: APTSCHED_POLICY.

    Raises
    ------
    InputError
        A name is not known, or a value is not accepted.
    """
    section = additional.get(SECTION, {}) if isinstance(additional, Mapping) else {}
    if not isinstance(section, Mapping):
        raise InputError(f"{SECTION}: {shown(section)} is not accepted in the additional config; an object is")
    kinds = {each.name: type(each.default) for each in fields(Settings)}
    unknown = [name for name in section if name not in kinds]
    if unknown:
        raise InputError(f"{SECTION}: {shown(unknown[0])} is not known; {', '.join(kinds)} are")
    given = {name: environment[PREFIX + name.upper()] for name in kinds if PREFIX + name.upper() in environment}
    return Settings(**{name: _value(name, value, kinds[name]) for name, value in (given | dict(section)).items()})


def _value(name: str, value: object, kind: type) -> Any:
    """A setting's value, given as text or in JSON."""
    try:
        if isinstance(value, bool) or not isinstance(value, ACCEPTED[kind][0]):
            raise ValueError
        return read_number(value, kind) if isinstance(value, str) and kind is not str else kind(value)
    except ValueError:
        raise InputError(f"{name}: {shown(value)} is not accepted; {ACCEPTED[kind][1]} is") from None
