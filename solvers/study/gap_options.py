"""The options of the gap study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from aptsched.support import checks
from aptsched.support.keywords import as_given, check_types
from aptsched.support.several import as_texts, each_of, numbers
from aptsched.workload.given import GivenTrace, path_or_trace, recorded
from aptsched.workload.trace import Trace
from solvers.methods import Method
from solvers.study.backlog import SnapshotSource
from solvers.study.named_methods import Methods, named_methods

Numbers = str | float | Iterable[str | float]


def _tell_nobody(num_begun: int, num_solves: int, doing: str) -> None:
    pass


@dataclass(frozen=True, kw_only=True, eq=False)
class GapOptions:
    """Options of `aptsched gap`, by the same names and with the same defaults.

    Parameters
    ----------
    trace : path, Trace, or sequence of (prompt_tokens, output_tokens) or (arrived_at_s, prompt_tokens, output_tokens)
    workload : str, optional
        A built-in one; either this or a trace.
    num_requests, load : number, text or several
        Requests in the queue, and free blocks over what the queue needs.
    instances : int
        Snapshots for each size and load.
    methods : text or function, several of them, or a mapping to them from names
        Text as `--methods` takes it; a function is `solve(problem, time_limit_s)`, and what it returns is checked.
    time_limit : float
        Seconds for each solve.
    seed : int
    max_tokens, max_seqs : int, optional
        Token budget and most requests of the batch.
    block_size : int
        Tokens in a block.
    rho : float, optional
        Seconds to rebuild K and V of a block; 17e-6 times the block size without it.
    hidden_ratio : fraction, number or text
        Bytes of hidden cache over KV cache.
    rate, cv : float, optional
        Arrivals a second and the coefficient of variation of their gaps, where the trace has none.
    progress : callable
        Called before each solve with the number done, the number of all, and the name of the next.

    Raises
    ------
    InputError
        Names the option, its value and what is accepted.
    """

    trace: GivenTrace | None = None
    workload: str | None = None
    num_requests: Numbers = ("50", "200")
    instances: int = 5
    load: Numbers = ("0.25",)
    methods: Methods = ("greedy", "core", "cpsat", "mathopt", "pulp", "milp")
    time_limit: float = 10.0
    seed: int = 0
    max_tokens: int | None = None
    max_seqs: int | None = None
    block_size: int = 16
    rho: float | None = None
    hidden_ratio: Fraction | float | str = "1/2"
    rate: float | None = None
    cv: float | None = None
    progress: Callable[[int, int, str], None] = _tell_nobody

    def __post_init__(self) -> None:
        check_types(self)
        methods = self.methods
        if isinstance(methods, Iterable) and not isinstance(methods, (str, Mapping)):
            methods = each_of("methods", methods)
        plain = {
            "trace": None if self.trace is None else path_or_trace(self.trace),
            "num_requests": as_texts("num_requests", self.num_requests),
            "load": as_texts("load", self.load),
            "methods": (methods,) if isinstance(methods, str) else methods,
            "hidden_ratio": str(self.hidden_ratio),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        checks.seconds("time_limit", self.time_limit, above_0=True)
        _ = self.source, self.chosen, self.sizes, self.loads  # made now, so that they are checked now

    @property
    def source(self) -> SnapshotSource:
        """The source of the snapshots."""
        assert self.trace is None or isinstance(self.trace, (str, Trace))
        return SnapshotSource(
            trace=self.trace,
            workload=self.workload,
            rate_per_s=self.rate,
            cv=self.cv,
            seed=self.seed,
            options={
                "block_size": self.block_size,
                "rho_s_per_block": self.rho,
                "hidden_ratio": self.hidden_ratio,
                "max_tokens": self.max_tokens,
                "max_seqs": self.max_seqs,
            },
        )

    @property
    def chosen(self) -> list[Method]:
        """The methods."""
        return named_methods(self.methods)

    @property
    def sizes(self) -> list[int]:
        """Numbers of requests, each once."""
        return numbers("num_requests", as_texts("num_requests", self.num_requests), int)

    @property
    def loads(self) -> list[float]:
        """Loads, each once."""
        return numbers("load", as_texts("load", self.load), float)

    def recorded(self, out: str | None = None, as_json: bool = False) -> dict[str, Any]:
        """The options as results have them, in order: plain values, with two of the command's own."""
        found: dict[str, Any] = {}
        for name, value in as_given(self, leave_out=["progress"]).items():
            found[name] = list(value) if isinstance(value, tuple) else value
            if name == "seed":
                found |= {"out": out, "as_json": as_json}
        return found | {"trace": recorded(self.source.trace), "methods": self._texts() or [m.name for m in self.chosen]}

    def _texts(self) -> list[str]:
        """The methods as given, if all of them are text; else nothing."""
        each = self.methods if isinstance(self.methods, tuple) else ()
        texts = [method for method in each if isinstance(method, str)]
        return texts if len(texts) == len(each) else []
