"""What is run: a policy on a model with requests of a set, at one rate or at rates that are searched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np

from aptsched.scheduling.record import SLO
from aptsched.workload import generate
from aptsched.workload.trace import Trace
from benchmarks.reproduce.published import KV_ALONE, NUM_GPUS
from engine.capacities.case import Arrivals, Objectives
from engine.capacities.setting import SETTINGS
from engine.loop.limits import Limits
from engine.models.find_config import find_config
from engine.simulator.gpu_file import find_gpu
from engine.study.arrival_source import ArrivalSource
from engine.study.serving import Server
from engine.study.simulation import Setup, simulated_server

NUM_ROWS = 20_000  # lengths of a set, of which each seed draws its own
GPU = "a100-40gb"
LEVELS: Mapping[str, tuple[float, ...]] = {"paper": (0.9, 0.6), "sustained": (0.9,)}  # by setting
FIRST_PER_S: Mapping[str, float] = {"sharegpt": 1.0, "humaneval": 6.0, "longbench": 0.5}  # where searches begin


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What is the same for all trials of a comparison; a cause is one of them changed.

    Attributes
    ----------
    setting : str
        Of `engine.capacities.setting`: what counts, and how a request attains.
    output_scale : float
        Times the output lengths of a set, the same for all sets.
    num_requests : int
        Of the setting "paper".
    ttft_s, tpot_s : float
        Objectives.
    hidden_attention : str
        How hidden states are read.
    rho_s_per_block : float or None
        What policies believe that rebuilding takes, in place of the true time.
    executed_rho_s_per_block : float or None
        What rebuilding takes, and policies believe then, in place of what the products take.
    cost : str or None
        "fits" or "roofline"; None for fits where there are any.
    rate_times : float
        Times the rates that stand for those that are not at hand.
    max_prompt_tokens : int or None
        Requests with longer prompts are left out.
    printed : bool
        Whether Apt-Serve is carried out as printed, or as our policy does.
    """

    setting: str = "paper"
    output_scale: float = 1.0
    num_requests: int = 1000
    ttft_s: float = 1.0
    tpot_s: float = 1.0
    hidden_attention: str = "rebuilt"
    rho_s_per_block: float | None = None
    executed_rho_s_per_block: float | None = None
    cost: str | None = None
    rate_times: float = 1.0
    max_prompt_tokens: int | None = None
    printed: bool = True

    def of(self, policy: str) -> Conditions:
        """What of them matters to a policy that is run: of one without hidden states nothing that is said of these."""
        given = replace(self, rate_times=1.0, printed=True)
        if policy not in KV_ALONE:
            return given
        return replace(given, hidden_attention="rebuilt", rho_s_per_block=None, executed_rho_s_per_block=None)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A policy on the requests of a seed; without a rate, at those by which the highest one that holds is found."""

    policy: str
    model: str
    lengths: str
    conditions: Conditions
    cv: float = 1.0
    rate_per_s: float | None = None
    level: float | None = None
    seed: int = 0

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels that are sought, the highest first: that of the trial, or all of the setting."""
        return LEVELS[self.conditions.setting] if self.level is None else (self.level,)

    @property
    def key(self) -> str:
        """All of it as text; what is as by default is left out, so that a new condition leaves what was kept valid."""
        return json.dumps({**_changed(self), "conditions": _changed(self.conditions)}, sort_keys=True)

    def arrivals(self) -> Arrivals:
        """The requests, at any rate."""
        of = self.conditions
        setting = SETTINGS[of.setting]
        num_requests = None if setting.num_requests is None else of.num_requests
        trace = scaled(self.lengths, of.output_scale, of.max_prompt_tokens)
        source = ArrivalSource(trace, None, num_requests, self.cv, self.seed)
        return Arrivals(source, setting, Objectives("", SLO(of.ttft_s, of.tpot_s)), self.seed)

    def setup(self) -> Setup:
        """The model on its GPUs."""
        of = self.conditions
        return Setup(
            find_config(self.model),
            find_gpu(GPU),
            NUM_GPUS[self.model],
            cost=of.cost,
            rho_s_per_block=of.rho_s_per_block,
            executed_rho_s_per_block=of.executed_rho_s_per_block,
            hidden_attention=of.hidden_attention,
        )

    def server(self) -> Server:
        """The server, whose context is the model's."""
        return simulated_server(self.setup(), Limits())


def _changed(given: Trial | Conditions) -> dict[str, Any]:
    """The fields that are not as by default."""
    return {field.name: value for field in fields(given) if (value := getattr(given, field.name)) != field.default}


@cache
def scaled(lengths: str, output_scale: float, max_prompt_tokens: int | None = None) -> Trace:
    """Lengths of a built-in workload, the same for all, outputs times a factor, at least one token each."""
    drawn = generate(lengths, NUM_ROWS, np.random.default_rng(0))
    outputs = np.maximum(1, np.rint(output_scale * drawn.output_tokens))
    kept = drawn.prompt_tokens <= (max_prompt_tokens or np.inf)
    return Trace(None, drawn.prompt_tokens[kept], outputs[kept])
