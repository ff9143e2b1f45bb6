"""Checks the summary of one run in results.json, recomputed from its requests and the log of its decisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from aptsched.metrics.latencies import Latencies
from aptsched.metrics.service import Metrics
from aptsched.scheduling.forms import FORM_ENTRIES
from aptsched.support.fields import named
from aptsched.support.shown import shown
from proofs.certificate import is_finite
from proofs.iterations import Log
from proofs.records import is_equal, is_whole
from proofs.run_requests import Row, latencies_of, metrics_of, rows_against

RUN = ("policy", "rate_per_s", "complete", "reason")
INTERRUPTED = "interrupted"
METRICS = tuple(Metrics.__dataclass_fields__)
COUNTS = (
    "num_warmup_iterations",
    "num_iterations",
    "num_prefill_tokens",
    "num_decode_tokens",
    "num_swapped_blocks",
    "num_certified",
)
SECONDS = ("busy_s", "scheduling_s")
OTHERS = ("scheduling_share", "gap_mean", "gap_worst", "num_blocks", "pace")
AS_SAID = ("tbt", *COUNTS[:-1], *SECONDS, "pace")  # checked to be within limits, but confirmed by nothing
ROUNDING = 1e-9


def forms_of(summary: dict[str, Any]) -> list[str]:
    """Names of the forms of cache in a summary: all lossless ones, and the lossy ones that it names."""
    return [
        entry.name
        for entry in FORM_ENTRIES
        if not entry.is_lossy or {f"{entry.name}_block_s", f"{entry.name}_share"} & set(summary)
    ]


def _needed(summary: dict[str, Any]) -> tuple[str, ...]:
    by_form = [f"{form}_{amount}" for form in forms_of(summary) for amount in ("block_s", "share")]
    return (*RUN, *METRICS, *COUNTS, *SECONDS, *by_form, *OTHERS)


def as_said(summary: dict[str, Any]) -> list[str]:
    """The fields that nothing in the files confirms."""
    block_s = [f"{form}_block_s" for form in forms_of(summary)]
    return [name for name in summary if name not in _needed(summary) or name in (*AS_SAID, *block_s)]


def against(summary: dict[str, Any], rows: Sequence[Row], log: Log | None, num_blocks: Any) -> Iterator[str]:
    """Yield what is wrong with the summary of a run.

    Parameters
    ----------
    summary : dict
    rows : sequence of Row
        The run's requests, each of which can be true.
    log : Log or None
        The log of its decisions; None where none was to be written.
    num_blocks : int
        Blocks of the pool, as in the document.
    """
    named("summary", summary, _needed(summary), tuple(summary))
    each = latencies_of(rows)
    yield from rows_against(rows, each)
    with np.errstate(over="ignore", invalid="ignore"):
        facts = {name: _plain(value) for name, value in asdict(metrics_of(rows, each)).items() if name in METRICS}
    facts |= (
        {"num_blocks": num_blocks, "complete": summary["reason"] != INTERRUPTED}
        | _shares(summary)
        | ({} if log is None else _gaps(log, summary["num_warmup_iterations"]))
    )
    for name, fact in facts.items():
        if name not in AS_SAID and not is_equal(summary[name], fact):
            yield f"{name}: {shown(summary[name])}, but {shown(fact)} follows"
    yield from _reason_against(summary["reason"], rows)
    yield from _bounds_against(summary, each, log)


def _reason_against(reason: Any, rows: Sequence[Row]) -> Iterator[str]:
    """Yield what is wrong with the reason why a run ended early, which must be that of each unfinished request."""
    facts = sorted({row["reason"] for row in rows if row["outcome"] == "unfinished"})
    if not facts and isinstance(reason, str) and (rows[0]["request_id"] > 0 or reason == INTERRUPTED):
        return
    if facts != ([] if reason is None else [reason]):
        yield f"reason: {shown(reason)}, but of the unfinished requests it is {shown(facts)}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(number) for name, number in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _shares(summary: dict[str, Any]) -> dict[str, float | None]:
    """Shares of the pool and of the time; None where what they are a share of is not known."""
    busy_s, num_blocks = summary["busy_s"], summary["num_blocks"]
    block_s = {f"{form}_share": summary[f"{form}_block_s"] for form in forms_of(summary)}
    seconds = {**block_s, "scheduling_share": summary["scheduling_s"]}
    if not is_finite(busy_s) or not is_whole(num_blocks) or not all(map(is_finite, seconds.values())):
        return {}
    return {
        name: value / (num_blocks * busy_s if name in block_s else busy_s) if busy_s > 0 < num_blocks else None
        for name, value in seconds.items()
    }


def _gaps(log: Log, num_warmup_iterations: Any) -> dict[str, float | None]:
    """What the decisions of iterations after the warm-up come to."""
    if not is_whole(num_warmup_iterations):
        return {}
    after = [(n - min(max(num_warmup_iterations - first, 0), n), gap) for first, n, gap in log.decisions]
    num_certified = sum(n for n, _ in after)
    mean = sum(n * gap for n, gap in after) / num_certified if num_certified else None
    worst = max((gap for n, gap in after if n), default=None)
    return {"num_certified": num_certified, "gap_mean": mean, "gap_worst": worst}


def _bounds_against(summary: dict[str, Any], each: Latencies, log: Log | None) -> Iterator[str]:
    """Yield what is wrong with measured fields, which must have the right type and agree with the other fields."""
    wrong = [name for name in (*COUNTS, "num_blocks") if not is_whole(summary[name])]
    block_s = [f"{form}_block_s" for form in forms_of(summary)]
    wrong += [name for name in (*SECONDS, *block_s) if not is_finite(summary[name]) or summary[name] < 0]
    if wrong:
        yield f"{wrong[0]}: {shown(summary[wrong[0]])} is not accepted; at least 0 is, of things a whole number"
        return
    last = -1 if log is None else max((first + max(n, 1) - 1 for first, n, _ in log.decisions), default=-1)
    least = max(last + 1 - summary["num_warmup_iterations"], summary["num_certified"])
    if summary["num_iterations"] < least:
        yield f"num_iterations: {summary['num_iterations']} with {summary['num_certified']} decisions, the last {last}"
    num_fed = summary["num_prefill_tokens"] + summary["num_decode_tokens"]
    if summary["num_blocks"] and num_fed < (num_tokens := int(each.num_tokens.sum())):  # a pool of 0 is not seen
        yield f"num_prefill_tokens, num_decode_tokens: {num_fed} in all, but {num_tokens} tokens came of them"
    if sum(summary[name] for name in block_s) > summary["num_blocks"] * summary["busy_s"] * (1 + ROUNDING):
        yield f"{', '.join(block_s)}: more than {summary['num_blocks']} blocks in {summary['busy_s']!r} s"
    yield from _tbt_against(summary["tbt"], each)
    yield from _ratios_against(summary)


def _tbt_against(tbt: Any, each: Latencies) -> Iterator[str]:
    """Check percentiles over all gaps: in order, at most the largest gap; of up to 99 gaps the p99 is the largest."""
    num_gaps = int(np.maximum(each.num_tokens - 1, 0).sum())
    values = list(tbt.values()) if isinstance(tbt, dict) and list(tbt) == ["median_s", "p90_s", "p99_s"] else []
    largest_s = float(np.nanmax(each.max_tbt_s)) if num_gaps else None
    if largest_s is None:
        holds = values == [None] * 3
    else:
        holds = len(values) == 3 and all(map(is_finite, values)) and 0 <= values[0] <= values[1] <= values[2]
        holds = holds and (values[2] == largest_s if num_gaps < 100 else values[2] <= largest_s)
    if not holds:
        yield f"tbt: {shown(tbt)} of {num_gaps} gaps, the largest {largest_s!r}"


def _ratios_against(summary: dict[str, Any]) -> Iterator[str]:
    """Check that the pace is at least 0, and the worst gap at least the mean, where they are known."""
    mean, worst, pace = summary["gap_mean"], summary["gap_worst"], summary["pace"]
    if summary["num_certified"] == 0:
        holds = mean is worst is None
    else:
        holds = is_finite(mean) and is_finite(worst) and 0 <= mean <= worst * (1 + ROUNDING)
    if not holds:
        yield f"gap_mean, gap_worst: {shown(mean)}, {shown(worst)} of {summary['num_certified']} decisions"
    if pace is not None and not (is_finite(pace) and pace >= 0):
        yield f"pace: {shown(pace)} is not accepted; a number of at least 0 is"
