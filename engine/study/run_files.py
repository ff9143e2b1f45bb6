"""The files of the serving study: results.json, requests.csv, the logs of decisions, and plots.

The schemas are described in docs/formats.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aptsched.metrics.deadlines import tokens_of
from aptsched.metrics.request_rows import Run, csv_parts
from aptsched.metrics.service import LEVELS, OF_TENANTS
from aptsched.metrics.stability import highest_rate
from aptsched.problem import certificate_log
from aptsched.report import serving_plots
from aptsched.report.document import Entries, json_parts, known, machine, named_file, sealed, versions
from aptsched.report.notices import merged
from aptsched.report.serving_plots import AttainmentLine, MemoryPanel
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.records import in_parts
from aptsched.support import files
from engine.study import run_table
from engine.study.replay import Replay
from engine.study.served_run import FailedRun, ServedRun

SCHEMA, VERSION = "aptsched.run", 3
FILES = ("results.json", "requests.csv", "attainment.png", "timeline.png")
PACKAGES = ("aptsched", "numpy", "torch")
SCALES = np.geomspace(0.1, 10, 41)  # factors for both objectives
SPENT = (
    *(
        "num_warmup_iterations",
        "num_iterations",
        "num_prefill_tokens",
        "num_decode_tokens",
        "num_swapped_blocks",
        "busy_s",
        "scheduling_s",
    ),
)
CERTIFIED = ("num_certified", "gap_mean", "gap_worst")


def document(
    runs: Sequence[ServedRun],
    replays: Sequence[Replay],
    options: dict[str, Any],
    setup: dict[str, Any],
    complete: bool,
    notices: Sequence[str],
    failed: Sequence[FailedRun],
) -> dict[str, Any]:
    """The content of results.json; records of requests and certificates are in files of their own, added by `write`.

    Parameters
    ----------
    runs : sequence of ServedRun
    replays : sequence of Replay
    options, setup : dict
        The options of the study, and what followed from them: model, cache, times.
    complete : bool
        Whether all runs that were planned are there.
    notices : sequence of str
        Notices of the command; those about replays and runs are added.
    failed : sequence of FailedRun
    """
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "options": options,
        "versions": versions(PACKAGES),
        "machine": machine(),
        **setup,
        "complete": complete,
        "notices": list(merged(*(replay.notices for replay in replays), notices, run_table.notices(runs, failed))),
        "replays": [_replay(replay) for replay in replays],
        "summary": [_summary(run) for run in runs],
        "by_tenant": [entry for run in runs for entry in _by_tenant(run)],
        "holds": [_holds(name, runs) for name in run_table.names(runs)],
        "rejected": Entries(partial(_rejected, runs)),
        "failed": [asdict(run) | {"rate_per_s": known(run.rate_per_s)} for run in failed],
        "timelines": [_timeline(run) for run in runs],
        "phases": [_phases(run) for run in runs],
        "files": [],
    }


def certificates_path(
    directory: Path, policy: str, replay: Replay, replays: Sequence[Replay], kind: str
) -> Path | None:
    """The path of a run's log of decisions, by `certificate_log.file_name`; None with the kind "none"."""
    name = certificate_log.file_name(policy, replay.rate_per_s if len(replays) > 1 else None, kind)
    return None if name is None else directory / name


def write(
    directory: Path, document: dict[str, Any], runs: Sequence[ServedRun], beside: Sequence[str]
) -> dict[str, Any]:
    """Write requests.csv, attainment.png, timeline.png, and last results.json, each whole.

    Parameters
    ----------
    directory : Path
        It has the logs of decisions already.
    document : dict
        The document of these runs.
    runs : sequence of ServedRun
    beside : sequence of str
        Names of other files there that belong to the results.

    Returns
    -------
    dict
        The content of results.json: the document with the files that belong to it, and its digest.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    files.write(directory / "requests.csv", csv_parts(csv_runs(runs)))
    files.write(directory / "attainment.png", _attainment(runs))
    last = runs[-1].rate_per_s
    shown = [run for run in runs if run.rate_per_s == last or math.isnan(last)]
    if any(run.usage.is_begun for run in shown):
        files.write(directory / "timeline.png", serving_plots.memory_over_time([_memory(run) for run in shown]))
    logs = [
        named_file(directory, run.certificates.name, policy=run.policy, rate_per_s=known(run.rate_per_s))
        for run in runs
        if run.certificates is not None
    ]
    named = [named_file(directory, name) for name in ("requests.csv", *beside)]
    written = sealed({**document, "files": [*named, *logs]})
    files.write(directory / "results.json", json_parts(written))
    return written


def csv_runs(runs: Sequence[ServedRun]) -> Iterator[Run]:
    """The runs as requests.csv has them."""
    for run in runs:
        yield run.policy, run.rate_per_s, run.records, run.alone_s


def _replay(replay: Replay) -> dict[str, Any]:
    return {
        "rate_per_s": known(replay.rate_per_s),
        "num_requests": len(replay),
        "num_clipped": replay.num_clipped,
        "num_prompt_tokens": int(replay.num_prompt_tokens.sum()),
        "num_output_tokens": int(replay.num_output_tokens.sum()),
        "last_arrival_s": replay.last_arrival_s,
        "slo": asdict(replay.slo),
        "num_own_slo": replay.own.num_own_slo,
        "tenants": list(replay.own.tenants),
    }


def _summary(run: ServedRun) -> dict[str, Any]:
    metrics = {name: _plain(value) for name, value in asdict(run.metrics).items()}
    usage = run.usage
    block_s = {f"{form.name}_block_s": usage.block_s_by_form[form.form] for form in usage.forms}
    shares = {f"{form.name}_share": known(usage.share_of(form.form)) for form in usage.forms}
    spent, certified = ({name: getattr(usage, name) for name in names} for names in (SPENT, CERTIFIED))
    memory = {**spent, **block_s, **certified, **shares, "scheduling_share": known(usage.scheduling_share)}
    rate = {"policy": run.policy, "rate_per_s": known(run.rate_per_s)}
    end = {"complete": run.complete, "reason": run.reason or None}
    return {**rate, **end, **metrics, **memory, "num_blocks": usage.num_blocks, "pace": known(run.pace)}


def _by_tenant(run: ServedRun) -> Iterator[dict[str, Any]]:
    for tenant, metrics in run.by_tenant.items():
        figures = {name: known(getattr(metrics, name)) for name in OF_TENANTS}
        of = {"policy": run.policy, "rate_per_s": known(run.rate_per_s), "tenant": tenant}
        yield {**of, "num_requests": metrics.num_requests, **figures}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: known(number) for name, number in value.items()}
    return known(value) if isinstance(value, float) else value


def _holds(policy: str, runs: Sequence[ServedRun]) -> dict[str, Any]:
    """The highest rate at which a policy holds each level; None where it fails at the lowest rate."""
    held = run_table.held_of(runs, policy)
    highest = {
        f"{level:g}": known(highest_rate(held.rates_per_s, held.attained, level, held.stable))
        if held.rates_per_s
        else None
        for level in LEVELS
    }
    return {"policy": policy, **asdict(held), "highest_rate_per_s": highest}


def _rejected(runs: Sequence[ServedRun]) -> Iterator[dict[str, Any]]:
    for run in runs:
        of = {"policy": run.policy, "rate_per_s": known(run.rate_per_s)}
        for record in run.records if run.metrics.num_rejected else ():
            if record.outcome is Outcome.REJECTED:
                yield {**of, "request_id": record.request_id, "reason": record.reason}


def _timeline(run: ServedRun) -> dict[str, Any]:
    forms = [entry.form for entry in run.usage.forms]
    points = [
        [point.start_s, point.end_s, *(point.num_blocks_by_form[form] for form in forms), point.num_waiting]
        for point in run.usage.timeline
    ]
    costs = {"scheduling_s": [point.scheduling_s for point in run.usage.timeline]}
    gaps = {"gap": [point.gap for point in run.usage.timeline]}
    return {"policy": run.policy, "rate_per_s": known(run.rate_per_s), "points": points, **costs, **gaps}


def _phases(run: ServedRun) -> dict[str, Any]:
    requests = [
        {
            "request_id": each.request_id,
            "start_s": [round(at, 4) for at in each.start_s],
            "phase": list(each.phase),
            "end_s": round(each.end_s, 4),
        }
        for each in run.phases
    ]
    return {"policy": run.policy, "rate_per_s": known(run.rate_per_s), "requests": requests}


def _attainment(runs: Sequence[ServedRun]) -> bytes:
    """The plot of attainment, PNG: over the rates if there are several, else over the scale of both objectives."""
    by_policy = {name: run_table.held_of(runs, name) for name in run_table.names(runs)}
    if max(len(held.rates_per_s) for held in by_policy.values()) > 1:
        lines = [AttainmentLine(name, held.rates_per_s, held.attained) for name, held in by_policy.items()]
        return serving_plots.attainment(lines, "requests a second", LEVELS, logarithmic=False)
    lines = [AttainmentLine(run.policy, SCALES.tolist(), _at_scales(run.records)) for run in runs]
    return serving_plots.attainment(lines, "objectives, times those given", LEVELS, logarithmic=True)


def _at_scales(records: Sequence[RequestRecord]) -> list[float]:
    """The share of requests that would attain if both objectives were multiplied by each of `SCALES`."""
    num_attained = np.zeros(len(SCALES), np.int64)
    for part in in_parts(records):
        finished = np.array([record.outcome is Outcome.FINISHED for record in part], np.bool_)
        needed = np.sort(tokens_of(part).needed_scale[finished])  # nan, without a token, comes last
        num_attained += needed.searchsorted(SCALES, side="right")
    return [int(count) / len(records) for count in num_attained]


def _memory(run: ServedRun) -> MemoryPanel:
    points = run.usage.timeline
    rate = "" if math.isnan(run.rate_per_s) else f", {run.rate_per_s:.3g} a second"
    times = [point.start_s for point in points] + [point.end_s for point in points[-1:]]
    num_blocks = {
        entry.label: [point.num_blocks_by_form[entry.form] for point in points] + [0.0] * bool(points)
        for entry in run.usage.forms
    }
    return MemoryPanel(f"{run.policy}{rate}", times, num_blocks, run.usage.num_blocks)
