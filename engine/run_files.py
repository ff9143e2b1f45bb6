"""The serving study as programs read it: results.json, requests.csv, the logs of decisions, and plots.

The schemas are described in docs/formats.md.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from aptsched import files
from aptsched.latencies import latencies
from aptsched.metrics import highest_rate, summarise
from aptsched.report import serving_plots
from aptsched.report.document import as_json, known, machine, versions
from aptsched.report.notices import merged
from aptsched.report.serving_plots import AttainmentLine, MemoryPanel
from aptsched.request import Outcome, RequestRecord
from engine import run_table
from engine.replay import Replay
from engine.serving import ServedRun

SCHEMA, VERSION = "aptsched.run", 1
FILES = ("results.json", "requests.csv", "attainment.png", "timeline.png")
PACKAGES = ("aptsched", "numpy", "torch")
SCALES = np.geomspace(0.1, 10, 41)  # of both objectives
USAGE = (
    *("num_iterations", "num_prefill_tokens", "num_decode_tokens", "num_swapped_blocks", "busy_s", "scheduling_s"),
    *("kv_block_s", "hidden_block_s", "num_certified", "gap_mean", "gap_worst"),
)
LATENCIES = (
    *("ttft_s", "p99_tbt_s", "max_tbt_s", "latency_s", "num_tokens"),
    *("attained_ttft", "attained_tbt", "attained_max_tbt", "starved"),
)
RECORD = ("request_id", "arrived_at_s", "num_prompt_tokens")
COUNTS = ("num_preemptions", "num_promotions", "num_swap_outs", "num_recomputed_tokens")


def document(
    runs: Sequence[ServedRun],
    replays: Sequence[Replay],
    options: dict[str, Any],
    setup: dict[str, Any],
    complete: bool,
    notices: Sequence[str] = (),
) -> dict[str, Any]:
    """All but the records of each request, which are in requests.csv, and the certificates.

    Parameters
    ----------
    runs : sequence of ServedRun
    replays : sequence of Replay
    options, setup : dict
        What was asked for, and what it came to: model, cache, times.
    complete : bool
        Whether all runs that were planned are there.
    notices : sequence of str
        Those of the command, beside those of the replays and of runs whose iterations were not as calibrated.
    """
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "options": options,
        "versions": versions(PACKAGES),
        "machine": machine(),
        **setup,
        "complete": complete,
        "notices": list(merged(*(replay.notices for replay in replays), notices, run_table.off_pace(runs))),
        "replays": [_replay(replay) for replay in replays],
        "summary": [_summary(run) for run in runs],
        "holds": [_holds(name, runs) for name in run_table.names(runs)],
        "rejected": _rejected(runs),
        "timelines": [_timeline(run) for run in runs],
    }


def as_csv(runs: Sequence[ServedRun]) -> str:
    """A row for each request, policy and rate; an empty cell is what there is not."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["policy", "rate_per_s", *RECORD, "outcome", *LATENCIES, *COUNTS, "reason"])
    for run in runs:
        each = latencies(run.records)
        columns = [getattr(each, name).tolist() for name in LATENCIES]
        for record, *values in zip(run.records, *columns, strict=True):
            writer.writerow(
                [
                    *(run.policy, _cell(run.rate_per_s), *_fields(record, RECORD), record.outcome.value),
                    *(*map(_cell, values), *_fields(record, COUNTS), record.reason),
                ]
            )
    return text.getvalue()


def certificates_path(directory: Path, policy: str, replay: Replay, replays: Sequence[Replay]) -> Path:
    """Where the decisions of a run go: certificates-POLICY.jsonl, with the rate where there are several."""
    name = re.sub(r"[^A-Za-z0-9.]+", "-", policy).strip("-.")
    rate = f"-rate{replay.rate_per_s:g}" if len(replays) > 1 else ""
    return directory / f"certificates-{name}{rate}.jsonl"


def write(directory: Path, written: dict[str, Any], runs: Sequence[ServedRun]) -> None:
    """Write results.json, requests.csv, attainment.png and timeline.png, each whole.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    files.write(directory / "results.json", as_json(written))
    files.write(directory / "requests.csv", as_csv(runs))
    files.write(directory / "attainment.png", _attainment(runs))
    last = runs[-1].rate_per_s
    shown = [run for run in runs if run.rate_per_s == last or math.isnan(last)]
    files.write(directory / "timeline.png", serving_plots.memory_over_time([_memory(run) for run in shown]))


def _replay(replay: Replay) -> dict[str, Any]:
    return {
        "rate_per_s": known(replay.rate_per_s),
        "num_requests": len(replay),
        "num_clipped": replay.num_clipped,
        "num_prompt_tokens": int(replay.num_prompt_tokens.sum()),
        "num_output_tokens": int(replay.num_output_tokens.sum()),
        "last_arrival_s": replay.last_arrival_s,
        "slo": asdict(replay.slo),
    }


def _summary(run: ServedRun) -> dict[str, Any]:
    metrics = {name: _plain(value) for name, value in asdict(summarise(run.records)).items() if name != "jain"}
    usage = {name: getattr(run.usage, name) for name in USAGE}
    shares = {name: known(getattr(run.usage, name)) for name in ("kv_share", "hidden_share", "scheduling_share")}
    rate = {"policy": run.policy, "rate_per_s": known(run.rate_per_s), "complete": run.complete}
    return {**rate, **metrics, **usage, **shares, "num_blocks": run.usage.num_blocks, "pace": known(run.pace)}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: known(number) for name, number in value.items()}
    return known(value) if isinstance(value, float) else value


def _holds(policy: str, runs: Sequence[ServedRun]) -> dict[str, Any]:
    """The highest rate at which a policy holds each level; None where it does not at the lowest one."""
    rates, shares = run_table.attained(runs, policy)
    held = {f"{level:g}": known(highest_rate(rates, shares, level)) if rates else None for level in run_table.LEVELS}
    return {"policy": policy, "rates_per_s": rates, "attained": shares, "highest_rate_per_s": held}


def _rejected(runs: Sequence[ServedRun]) -> list[dict[str, Any]]:
    return [
        {"policy": run.policy, "rate_per_s": known(run.rate_per_s), "request_id": r.request_id, "reason": r.reason}
        for run in runs
        for r in run.records
        if r.outcome is Outcome.REJECTED
    ]


def _timeline(run: ServedRun) -> dict[str, Any]:
    points = [list(asdict(point).values()) for point in run.usage.timeline]
    return {"policy": run.policy, "rate_per_s": known(run.rate_per_s), "points": points}


def _fields(record: RequestRecord, names: Sequence[str]) -> list[Any]:
    return [getattr(record, name) for name in names]


def _cell(value: float | int | bool) -> object:
    if isinstance(value, bool):
        return int(value)
    return "" if isinstance(value, float) and math.isnan(value) else value


def _attainment(runs: Sequence[ServedRun]) -> bytes:
    """Over the rates, where there are several; else over the scale of both objectives."""
    by_policy = {name: run_table.attained(runs, name) for name in run_table.names(runs)}
    if max(len(rates) for rates, _ in by_policy.values()) > 1:
        lines = [AttainmentLine(name, rates, shares) for name, (rates, shares) in by_policy.items()]
        return serving_plots.attainment(lines, "requests a second", run_table.LEVELS, logarithmic=False)
    lines = [AttainmentLine(run.policy, SCALES.tolist(), _at_scales(run.records)) for run in runs]
    return serving_plots.attainment(lines, "objectives, times those given", run_table.LEVELS, logarithmic=True)


def _at_scales(records: Sequence[RequestRecord]) -> list[float]:
    """The share of requests within both objectives if these were so many times as long."""
    each = latencies(records)
    slo_ttft_s = np.array([record.slo.ttft_s for record in records])
    slo_tbt_s = np.array([record.slo.tbt_s for record in records])
    finished = np.array([record.outcome is Outcome.FINISHED for record in records])
    needed = np.fmax(each.ttft_s / slo_ttft_s, each.p99_tbt_s / slo_tbt_s)  # the smallest scale at which both hold
    return [float((finished & (needed <= scale)).mean()) for scale in SCALES]


def _memory(run: ServedRun) -> MemoryPanel:
    points = run.usage.timeline
    rate = "" if math.isnan(run.rate_per_s) else f", {run.rate_per_s:.3g} requests a second"
    times = [point.start_s for point in points] + [point.end_s for point in points[-1:]]
    kv = [point.num_kv_blocks for point in points] + [0.0] * bool(points)
    hidden = [point.num_hidden_blocks for point in points] + [0.0] * bool(points)
    return MemoryPanel(f"{run.policy}{rate}", times, kv, hidden, run.usage.num_blocks)
