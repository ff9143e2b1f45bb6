"""The options of a search for the highest rates that hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aptsched.metrics.slo_presets import preset
from aptsched.scheduling.record import SLO
from aptsched.support import checks
from aptsched.support.errors import InputError
from aptsched.support.number_text import read_number
from aptsched.support.several import as_texts, numbers, several
from aptsched.support.shown import shown
from aptsched.workload import ranges
from engine.capacities.case import Arrivals, Objectives, windows
from engine.capacities.setting import SETTINGS, Setting
from engine.study.arrival_source import read_source
from engine.study.simulate_options import SimulateOptions

NUM_SEEDS = 5  # with which a search begins
MOST_SEEDS = 20  # up to which seeds are added, until intervals are narrow enough
HALF_WIDTH = 0.04
OF_SETTING = {"sustained": ("duration", "warmup"), "paper": ("num_requests",)}  # options that one setting has


@dataclass(frozen=True, kw_only=True, eq=False)
class CapacityOptions(SimulateOptions):
    """Options of `aptsched capacity`: those of `SimulateOptions`, of which some mean another thing, and more.

    Parameters
    ----------
    level : number, text or several
        Shares of requests that have to attain their objectives, each above 0 and up to 1.
    objectives : text or several, optional
        "chat" (1 s, 0.2 s), "paper" (1 s, 1 s), "mlperf-server", "mlperf-interactive", or TTFT and TPOT in seconds with
        a slash between them; each in every setting. By default chat in the setting "sustained" and paper in the setting
        "paper". They stand in place of `slo`, `slo_ttft` and `slo_tpot`.
    setting : text or several
        "sustained": requests arrive for `duration` seconds, of which the first `warmup` do not count, and are served to
        their end. A request attains if every token comes by its deadline, and a rate only holds if the run is stable.
        "paper": `num_requests` requests, which attain by their TTFT and the P99 of their own TBT, stable or not.
    seeds : int, optional
        So many seeds, from `seed` on, the same for all policies; of a trace with times so many parts. By default 5, and
        as many more, up to 20, as `half_width` takes.
    no_bound : bool
        Whether the rate that no policy passes is not sought, which takes as long as some runs.
    half_width : float, optional
        Seeds are added until half of every interval's width is at most that share of the rate. By default 0.04 where no
        number of seeds is given, and none are added where one is. A trace with times has no further parts.
    gpus_for : float, optional
        Requests a second that replicas together are to serve.
    rate : number, optional
        Where the search begins; by default half of the bound.
    cluster : text, optional
        The address of a Dask scheduler, whose workers do the runs, in place of processes here. They have this code, and
        files by the same paths. Nothing is kept then of a study that was ended.

    Raises
    ------
    InputError
        Names the option, its value and what is accepted.
    """

    level: str | float | Iterable[str | float] = (0.99, 0.9)
    objectives: str | Iterable[str] | None = None
    setting: str | Iterable[str] = ("sustained", "paper")
    seeds: int | None = None
    no_bound: bool = False
    half_width: float | None = None
    gpus_for: float | None = None
    cluster: str | None = None
    num_requests: int | None = 1000
    duration: float | None = 660.0
    warmup: float = 60.0

    def __post_init__(self) -> None:
        for name in ("level", "objectives", "setting"):
            given = getattr(self, name)
            object.__setattr__(self, name, None if given is None else as_texts(name, given))
        super().__post_init__()
        if (self.slo, self.slo_ttft, self.slo_tpot) != (None, None, None):
            raise InputError("slo, slo_ttft, slo_tpot: these are not accepted here; objectives, as TTFT/TPOT, are")
        if len(self.rates_per_s) > 1:
            raise InputError(f"rate: {shown(self.rate)} is not accepted; one rate, where the search begins, is")
        if self.seeds is not None:
            ranges.whole("seeds", self.seeds, 1000)
        if self.half_width is not None and not 0 < self.half_width < 1:
            raise InputError(f"half_width: {self.half_width} is not accepted; a share between 0 and 1 is")
        if self.gpus_for is not None:
            ranges.number("gpus_for", self.gpus_for, 1e-6, 1e9)
        _ = self.levels, self.settings, list(self.groups())  # made now, so that they are checked now

    @cached_property
    def levels(self) -> list[float]:
        """The levels, the highest first."""
        found = numbers("level", as_texts("level", self.level), float)
        for level in found:
            if not 0 < level <= 1:
                raise InputError(f"level: {level} is not accepted; a share above 0 and up to 1 is")
        return sorted(found, reverse=True)

    @cached_property
    def settings(self) -> list[Setting]:
        """The settings, with the times and numbers that are given for them."""
        names = list(dict.fromkeys(several("setting", as_texts("setting", self.setting))))
        for name in names:
            if name not in SETTINGS:
                raise InputError(f"setting: {shown(name)} is not accepted; {', '.join(SETTINGS)} are")
        return [self._as_given(SETTINGS[name]) for name in names]

    def _as_given(self, setting: Setting) -> Setting:
        if setting.duration_s is None:
            return dataclasses.replace(setting, num_requests=self.num_requests)
        duration_s = checks.seconds("duration", self.duration, above_0=True)
        if not 0 <= self.warmup < duration_s:
            raise InputError(f"warmup: {self.warmup} is not accepted; 0 to less than the duration, {duration_s:g}, is")
        return dataclasses.replace(setting, warmup_s=self.warmup, duration_s=duration_s)

    def groups(self) -> Iterator[tuple[Setting, Objectives]]:
        """Each setting under each pair of objectives."""
        for setting in self.settings:
            given = self.objectives or (setting.slo,)
            for text in dict.fromkeys(several("slo", as_texts("slo", given))):
                yield setting, objectives_of(text, self.setup.config.name)

    @cached_property
    def is_drawn(self) -> bool:
        """Whether each seed has requests of its own: not those of a trace with times."""
        if self.source.trace is None:
            return True
        return read_source(dataclasses.replace(self.source, num_requests=None), 1).arrived_at_s is None

    @property
    def first_seeds(self) -> int:
        """The number of seeds to begin with."""
        return NUM_SEEDS if self.seeds is None else self.seeds

    @property
    def narrow_enough(self) -> float | None:
        """The half width at which no more seeds are added; None if none are added anyway."""
        if self.half_width is None and self.seeds is None:
            return HALF_WIDTH
        return self.half_width

    @property
    def unused_notices(self) -> list[str]:
        """What was given of a setting that is not asked for, and a half width for which no seeds can be added."""
        names = {setting.name for setting in self.settings}
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        said = [
            f"--{name.replace('_', '-')} {getattr(self, name)} is of the setting {setting}, which is not asked for."
            for setting, its_own in OF_SETTING.items()
            for name in its_own
            if setting not in names and getattr(self, name) != defaults[name]
        ]
        if self.half_width is not None and (self.seeds == 1 or not self.is_drawn):
            why = "one seed has no interval" if self.seeds == 1 else "a trace with times has no further parts"
            said.append(f"--half-width {self.half_width:g} adds no seeds: {why}.")
        return said

    def arrivals(self, setting: Setting, objectives: Objectives, num_seeds: int) -> list[Arrivals]:
        """The requests of each seed."""
        source = dataclasses.replace(self.source, num_requests=setting.num_requests)
        sources = windows(source, num_seeds)
        return [Arrivals(each, setting, objectives, number) for number, each in enumerate(sources)]

    def recorded(self) -> dict[str, Any]:
        """The options as results have them, in order: plain values, and only what may change a result."""
        several_of = {name: getattr(self, name) and list(getattr(self, name)) for name in ("objectives", "setting")}
        left_out = ("slo", "slo_ttft", "slo_tpot", "certificates")
        plain = {name: value for name, value in super().recorded().items() if name not in left_out}
        return {**plain, "level": self.levels, **several_of}


def objectives_of(text: str, model: str) -> Objectives:
    """Objectives of a model by name (`preset`), or as TTFT and TPOT with a slash between them.

    Raises
    ------
    InputError
        They are neither, or not above 0, or there are none of that name for the model.
    """
    if "/" not in text:
        try:
            return Objectives(text, preset(text, model))
        except InputError as error:
            raise InputError(f"{error}; two numbers of seconds, such as 1/0.2, are accepted too") from error
    try:
        ttft_s, tpot_s = (read_number(part, float) for part in text.split("/"))
        return Objectives(text, SLO(ttft_s, tpot_s))
    except ValueError as error:
        raise InputError(
            f"slo: {shown(text)} is not accepted; two numbers of seconds, such as 1/0.2, or a name are"
        ) from error
