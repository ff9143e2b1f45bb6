"""The requests of a run: lengths and arrivals of a trace, prompts drawn from a seed, the same for every policy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from aptsched.scheduling.columns import LABELS
from aptsched.scheduling.record import SLO
from aptsched.scheduling.records import MANY
from aptsched.support.checks import Floats, Ints
from aptsched.support.quick_init import of_values
from aptsched.workload import ranges
from aptsched.workload.own_columns import OwnColumns
from aptsched.workload.trace import NONE_OF_THEIR_OWN, Trace
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams

ANY_TOKENS = SamplingParams(ignore_eos=True)
WARM_TOKENS = 64  # most tokens of the prompt that is served before a run, of which two are wanted


@dataclass(frozen=True, eq=False)
class Replay:
    """The requests of a run, which can be served any number of times.

    Attributes
    ----------
    arrived_at_s : float array, [r]
        In order, on the clock of the run.
    num_prompt_tokens, num_output_tokens : int array, [r]
        At least 1 each. A request ends after so many output tokens, whatever they are; no policy sees the number.
    slo : SLO
        Objectives of requests that have none of their own.
    seed : int
        Prompt i is drawn from (seed, i) alone.
    vocab_size : int or None
        Prompts are random tokens below that; None for a run that has no tokens.
    max_context : int or None
        The model's context length: longer prompts are rejected, so they are not drawn.
    num_clipped : int
        Requests whose prompt or output was longer in the trace.
    rate_per_s : float
        Arrivals a second; nan where there is no such rate.
    notices : tuple of str
        A line for each thing that is not served as the trace has it; the notices of the trace are among them.
    warmup_s : float
        Requests that arrive earlier, and iterations that begin earlier, are not counted.
    alone_s : float array, [r], optional
        How long each request would take with no other beside it, where that is known.
    own : OwnColumns
        Objectives of their own, tenants and priorities.
    output_cap : int, optional
        Output tokens that no request exceeds, which policies see (`View.cap_tokens`); the most of any by default.
    """

    arrived_at_s: Floats
    num_prompt_tokens: Ints
    num_output_tokens: Ints
    slo: SLO = field(default_factory=SLO)
    seed: int = 0
    vocab_size: int | None = None
    max_context: int | None = None
    num_clipped: int = 0
    rate_per_s: float = float("nan")
    notices: tuple[str, ...] = ()
    warmup_s: float = 0.0
    alone_s: Floats | None = None
    own: OwnColumns = NONE_OF_THEIR_OWN
    output_cap: int | None = None

    def __len__(self) -> int:
        """Number of requests, r."""
        return len(self.arrived_at_s)

    @property
    def last_arrival_s(self) -> float:
        """When the last request arrives."""
        return float(self.arrived_at_s[-1])

    @property
    def objectives_s(self) -> tuple[Floats, Floats]:
        """TTFT and TPOT of each request, [r]: its own, or those of all."""
        default = {"slo_ttft_s": float(self.slo.ttft_s), "slo_tpot_s": float(self.slo.tpot_s)}
        ttft_s, tpot_s = (self.own.filled(name, len(self), value) for name, value in default.items())
        return ttft_s.astype(np.float64, copy=False), tpot_s.astype(np.float64, copy=False)

    def warm_up(self) -> Replay:
        """The first request alone, at once and short: what is served before a run, for its one-time costs."""
        return replace(
            self,
            arrived_at_s=self.arrived_at_s[:1] * 0,
            num_prompt_tokens=self.num_prompt_tokens[:1].clip(max=WARM_TOKENS),
            num_output_tokens=self.num_output_tokens[:1].clip(max=2),
            own=self.own.rows(slice(1)),
        )

    def requests(self) -> Iterator[Request]:
        """The requests in order of arrival, each made when it is asked for."""
        lengths = (self.num_prompt_tokens, self.num_output_tokens)
        labels = [self.own.filled(name, len(self), 0).astype(np.int64, copy=False) for name in LABELS]
        columns = (self.arrived_at_s, *lengths, *self.objectives_s, *labels)
        cap = self.output_cap or int(lengths[1].max(initial=1))
        known: dict[tuple[float, float], SLO] = {}  # few requests have objectives that no other has
        for i, (arrived_at_s, num_prompt_tokens, num_output_tokens, ttft_s, tpot_s, *of) in enumerate(_rows(*columns)):
            params = _up_to(num_output_tokens)
            if (slo := known.get((ttft_s, tpot_s))) is None:
                slo = known[ttft_s, tpot_s] = SLO(ttft_s, tpot_s)
            prompt, label = self._prompt(i, num_prompt_tokens), dict(zip(LABELS, of, strict=True))
            yield Request(
                i, arrived_at_s, num_prompt_tokens, params, slo, prompt, cap_tokens=num_prompt_tokens + cap, **label
            )

    def _prompt(self, i: int, num_tokens: int) -> Ints | None:
        if self.vocab_size is None or (self.max_context is not None and num_tokens > self.max_context):
            return None
        return np.random.default_rng([self.seed, i]).integers(self.vocab_size, size=num_tokens)


def _rows(*columns: npt.NDArray[Any]) -> Iterator[tuple[Any, ...]]:
    """The numbers of each row, some thousands of them made at once."""
    for start in range(0, len(columns[0]), MANY):
        yield from zip(*(each[start : start + MANY].tolist() for each in columns), strict=True)


@cache
def _up_to(max_tokens: int) -> SamplingParams:
    """So many tokens, at least 1, whatever they are: not checked again, and shared by many requests."""
    return of_values(SamplingParams, {**vars(ANY_TOKENS), "max_tokens": max_tokens})


def replay(
    trace: Trace,
    slo: SLO,
    rate_per_s: float,
    seed: int = 0,
    vocab_size: int | None = None,
    max_prompt_tokens: int | None = None,
    max_output_tokens: int | None = None,
) -> Replay:
    """The requests of a trace that has arrivals.

    Prompts and outputs beyond the limits are clipped; that of outputs is the cap that policies see. A request that
    generated nothing in the trace is served one token, for a prefill yields one.

    Raises
    ------
    InputError
        A limit below 1, or a seed below 0.
    """
    given = {"max_prompt_tokens": max_prompt_tokens, "max_output_tokens": max_output_tokens}
    for name, most in given.items():
        if most is not None:
            ranges.whole(name, most)
    assert trace.arrived_at_s is not None
    prompts, outputs = (
        _at_most(trace.prompt_tokens, max_prompt_tokens),
        _at_most(trace.output_tokens, max_output_tokens),
    )
    clipped = (prompts < trace.prompt_tokens) | (outputs < trace.output_tokens)
    return Replay(
        arrived_at_s=trace.arrived_at_s,
        num_prompt_tokens=prompts,
        num_output_tokens=np.maximum(outputs, 1),
        slo=slo,
        seed=seed,
        vocab_size=vocab_size,
        num_clipped=int(clipped.sum()),
        rate_per_s=rate_per_s,
        notices=(*trace.notices, *_changes(trace, int(clipped.sum()))),
        own=trace.own,
        output_cap=max_output_tokens,
    )


def _at_most(num_tokens: Ints, most: int | None) -> Ints:
    return num_tokens if most is None else np.minimum(num_tokens, most)


def _changes(trace: Trace, num_clipped: int) -> Iterator[str]:
    """Notices about what is not served as the trace has it."""
    if num_clipped:
        yield f"Requests clipped to the most tokens of prompt or output: {num_clipped} of {len(trace)}."
    num_without = int((trace.output_tokens == 0).sum())
    if num_without:
        yield f"Requests without output tokens, of which each is served one: {num_without} of {len(trace)}."


def beyond_context(replay: Replay, max_context: int) -> int:
    """How many requests have more prompt and output tokens than the model's context: they are rejected, or cut off."""
    return int(np.count_nonzero(replay.num_prompt_tokens + replay.num_output_tokens > max_context))


def context_notices(replays: Sequence[Replay], max_context: int) -> list[str]:
    """A notice about requests that the model's context cuts off, for the rate that has most of them."""
    largest = max(replays, key=len)
    beyond = beyond_context(largest, max_context)
    if not beyond:
        return []
    counts = f"Requests longer than the context of {max_context} tokens: {beyond} of {len(largest)}"
    return [f"{counts}. A prompt is rejected, an output ends there."]
