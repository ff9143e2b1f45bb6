"""The options of a study on a computed clock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aptsched.policies.composition import Select
from aptsched.problem.certificate_log import check_kind
from aptsched.scheduling.record import SLO
from aptsched.support.errors import InputError
from aptsched.support.keywords import as_given
from aptsched.support.lazy import lazy
from aptsched.workload.given import GivenTrace, path_or_trace, recorded
from aptsched.workload.trace import Trace
from engine.calibration.foreign import check_given
from engine.models.find_config import find_config
from engine.models.hidden_attention import check_hidden_attention
from engine.simulator.gpu_file import find_gpu
from engine.simulator.precision import Precision
from engine.simulator.swap_times import BYTES, check_swap
from engine.study.arrival_source import ArrivalSource
from engine.study.named_policies import Policies, by_name
from engine.study.serving_options import ServingOptions
from engine.study.simulation import Setup

NOT_OF_THE_RESULT = (
    "jobs",
    "cluster",
    "select",
    "progress",
)  # left out of results, so that equal seeds give equal bytes


def _tell_nobody(num_ended: int, num_requests: int) -> None:
    pass


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulateOptions(ServingOptions):
    """Options of `aptsched simulate`, by the same names and with the same defaults, except that of `jobs`.

    Parameters
    ----------
    model, gpu : str or path
        As `aptsched list` shows; a model also as a config.json or a directory with one, a GPU as a .toml file.
    tp : int
        Number of GPUs, tensor parallel.
    weight_bytes, kv_bytes : float
        Bytes of each number of the weights, and of K and V: 4, 2, 1 (fp8) or 0.5 (int4).
    policy : text, class or object, several of them, or a mapping to them from names
        Text as `--policy` takes it; a class is made for each run, of an object each run gets a copy:
        `"fcfs,aptserve:forms=kv"`, `[FCFS(), Mine]`, `{"mine": Mine(0.5)}`.
    trace : path, Trace, or sequence of (prompt_tokens, output_tokens) or (arrived_at_s, prompt_tokens, output_tokens)
    workload : str, optional
        A built-in one; either this or a trace.
    rate : number, text or several, optional
        Arrivals a second; by default the trace's own.
    cv : float, optional
        Coefficient of variation of the gaps between arrivals that are drawn.
    jitter : float, optional
        Share by which the lengths of prompts and outputs are moved at most, as the seed says.
    max_prompt_tokens, max_output_tokens : int, optional
        Longer prompts and outputs are clipped; the latter is the cap that policies see then, in place of the longest.
    num_requests : int, optional
        Requests: the first of a trace, or drawn where it has lengths alone. By default 1,000 of a workload, all of a
        trace.
    duration : float, optional
        Seconds: serve all requests that arrive earlier, in place of a number.
    warmup : float
        Seconds: requests that arrive earlier are served, but not counted.
    slo : str, optional
        Objectives by name: "chat" (1 s, 0.2 s), "paper" (1 s, 1 s), "mlperf-server" or "mlperf-interactive".
    slo_ttft, slo_tpot : float, optional
        Objectives in seconds, in place of those of `slo`; 1 s each where nothing is said.
    max_tokens, max_seqs : int
        Token budget and most requests of an iteration.
    num_blocks : int, optional
        Blocks of the cache, in place of what the model leaves on the GPUs.
    swap_space : str, optional
        Host memory for requests that are swapped out, such as "64GiB"; by default four times the pool.
    swap : str
        What swaps take: "bytes" alone, a copy of each of the "blocks" as in vLLM 0.3, or "grouped", as in FastSwitch.
    cost : str or path, optional
        "fits", "roofline" or a calibration's file; by default fits where there are any, else roofline.
    foreign_calibration : bool
        Whether a calibration of another model is accepted.
    hidden_attention : str
        How hidden states are read: "absorbed", or "rebuilt", as in Apt-Serve.
    rho, executed_rho : float, optional
        Seconds to rebuild K and V of a block: as policies believe, and as it takes in truth; with the latter they are
        rebuilt in every iteration.
    seed : int
    certificates : str
        How the logs of certified decisions are kept and written: "plain", "gzip" or "none".
    jobs : int or None
        Processes; None is one for each CPU. More than one needs policies that can be pickled and, in a script,
        `if __name__ == "__main__"`.
    select : mapping of str to callable
        Values of the policies' option `select` beside "greedy", by name: with {"core": solvers.core.exact_selection}
        the policy "aptserve:select=core" is accepted, as the command accepts it.
    progress : callable
        Called now and then with the number of requests of all runs that have ended, and the number of all.

    Raises
    ------
    InputError
        Names the option, its value and what is accepted.
    """

    model: str | os.PathLike[str] = "opt-13b"
    gpu: str | os.PathLike[str] = "a100-40gb"
    tp: int = 1
    weight_bytes: float = 2
    kv_bytes: float = 2
    policy: Policies = ("fcfs,aptserve",)
    trace: GivenTrace | None = None
    workload: str | None = None
    rate: str | float | Iterable[str | float] | None = None
    cv: float | None = None
    jitter: float | None = None
    max_prompt_tokens: int | None = None
    max_output_tokens: int | None = None
    num_requests: int | None = None
    duration: float | None = None
    warmup: float = 0.0
    slo: str | None = None
    slo_ttft: float | None = None
    slo_tpot: float | None = None
    max_tokens: int = 2048
    max_seqs: int = 256
    num_blocks: int | None = None
    swap_space: str | None = None
    swap: str = BYTES
    cost: str | os.PathLike[str] | None = None
    foreign_calibration: bool = False
    hidden_attention: str = "absorbed"
    rho: float | None = None
    executed_rho: float | None = None
    seed: int = 0
    certificates: str = "plain"
    jobs: int | None = 1
    select: Mapping[str, Select] = field(default_factory=dict)
    progress: Callable[[int, int], None] = _tell_nobody

    def __post_init__(self) -> None:
        self._check_given()
        object.__setattr__(self, "trace", None if self.trace is None else path_or_trace(self.trace))
        by_name(self.policy)
        check_kind(self.certificates)
        if self.jobs is not None and self.jobs < 1:
            raise InputError(f"jobs: {self.jobs} is not accepted; at least 1 is")
        check_hidden_attention(self.hidden_attention)
        check_swap(self.swap)
        check_given(self.foreign_calibration, self.setup.cost)
        _ = (
            self.setup,
            self.limits,
            self.slo_of_all,
            self.rates_per_s,
            self.source,
        )  # made now, so that they are checked now

    @lazy
    def setup(self) -> Setup:
        """The model, GPUs and cost that are simulated; their files are read once."""
        return Setup(
            find_config(str(self.model)),
            find_gpu(str(self.gpu)),
            self.tp,
            Precision(self.weight_bytes, self.kv_bytes),
            None if self.cost is None else str(self.cost),
            self.num_blocks,
            self.rho,
            self.executed_rho,
            self.swap_space,
            self.hidden_attention,
            self.foreign_calibration,
            self.swap,
        )

    @property
    def slo_of_all(self) -> SLO:
        """The objectives of requests that have none of their own."""
        return self._objectives_of(self.setup.config.name)

    @property
    def source(self) -> ArrivalSource:
        """The source of the requests."""
        trace = self.trace if self.trace is None or isinstance(self.trace, Trace) else str(self.trace)
        return ArrivalSource(
            trace,
            self.workload,
            self.num_requests,
            self.cv,
            self.seed,
            self.jitter,
            max_prompt_tokens=self.max_prompt_tokens,
            max_output_tokens=self.max_output_tokens,
        )

    def recorded(self) -> dict[str, Any]:
        """The options as results have them, in order: plain values, and only what may change a result."""
        plain = {**self._recorded_plainly(), "trace": recorded(self.source.trace)}
        return as_given(self, leave_out=NOT_OF_THE_RESULT) | plain
