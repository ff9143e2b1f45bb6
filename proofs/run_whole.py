"""Checks what results.json says of all runs together, recomputed from their requests and their summaries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from aptsched.metrics.request_rows import IDENTITY, OBJECTIVES
from aptsched.metrics.service import LEVELS, OF_TENANTS
from aptsched.metrics.stability import highest_rate
from aptsched.support.fields import named
from aptsched.support.shown import shown
from proofs.certificate import is_finite
from proofs.records import is_equal, is_whole
from proofs.run_requests import Row, latencies_of, metrics_of
from proofs.run_summary import forms_of

Run = tuple[str, float | None]
REPLAY = (
    "rate_per_s",
    "num_requests",
    "num_clipped",
    "num_prompt_tokens",
    "num_output_tokens",
    "last_arrival_s",
    "slo",
    "num_own_slo",
    "tenants",
)
PHASES = {"waiting", "prefill", "decode", "held", "swapped"}
REPLAY_AS_SAID = ("num_own_slo", "num_clipped", "num_output_tokens", "num_beyond_context")  # as they were in the traces
SHARED = (*IDENTITY, *OBJECTIVES, "alone_s")  # columns that are the same for every policy


def against(document: dict[str, Any], runs: Mapping[Run, Sequence[Row]]) -> Iterator[str]:
    """Yield what is wrong with, or missing in, the lists about all runs, given that each run holds."""
    rates = [replay.get("rate_per_s") if isinstance(replay, dict) else None for replay in document["replays"]]
    for replay, rate in zip(document["replays"], rates, strict=True):
        of_rate = [rows for (_, at), rows in runs.items() if at == rate]
        yield from _replay_against(replay, of_rate, document["options"])
    if len(set(rates)) < len(rates) or not {rate for _, rate in runs} <= set(rates):
        yield f"replays: rates of {shown(rates)} are not accepted; one of each run's is"
    if _warmup_s(document["options"]) == 0 and any(each["num_warmup_iterations"] for each in document["summary"]):
        yield "num_warmup_iterations: above 0, but by options.warmup there is no warm-up"
    policies = list(dict.fromkeys(policy for policy, _ in runs))
    planned = _asked(document["options"]) or list(dict.fromkeys([*policies, *_policies(document["failed"])]))
    yield from _failed_against(document["failed"], runs, [(policy, rate) for policy in planned for rate in rates])
    done = all(summary["complete"] for summary in document["summary"]) and len(runs) == len(planned) * len(rates)
    if not is_equal(document["complete"], done) or not set(policies) <= set(planned):
        yield f"complete: {shown(document['complete'])}, with {len(runs)} runs of {', '.join(planned)}"
    if not is_equal(document["holds"], [_holds(policy, document["summary"]) for policy in policies]):
        yield "holds: it does not follow from the summaries"
    if not is_equal(document["by_tenant"], _by_tenant(document["replays"], runs)):
        yield "by_tenant: it does not follow from requests.csv"
    if not is_equal(document["rejected"], _rejected(runs)):
        yield "rejected: it does not follow from requests.csv"
    num_forms = {(each["policy"], each["rate_per_s"]): len(forms_of(each)) for each in document["summary"]}
    names = [_run_of(entry, num_forms) for entry in document["timelines"]]
    if names != list(runs):
        yield "timelines: they are not one for each run, with points in order"
    if [_phases_of(entry) for entry in document["phases"]] != list(runs):
        yield "phases: they are not one entry for each run, with times in order"


def _asked(options: Any) -> list[str]:
    """The policies that the options ask for, each once; none where the options do not have the commands' form."""
    given = options.get("policy") if isinstance(options, dict) else None
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        return []
    return list(dict.fromkeys(part.strip() for text in given for part in text.split(",") if part.strip()))


def _policies(failed: Sequence[Any]) -> list[str]:
    return [entry["policy"] for entry in failed if isinstance(entry, dict) and isinstance(entry.get("policy"), str)]


def _failed_against(failed: Sequence[Any], runs: Mapping[Run, Any], planned: Sequence[Run]) -> Iterator[str]:
    """Yield what is wrong with failed runs: each must be planned, be listed once, and not be among the others."""
    seen = set(runs)
    for entry in failed:
        named("entry of failed", entry, ("policy", "rate_per_s", "reason"))
        run = (entry["policy"], entry["rate_per_s"])
        if run not in planned or run in seen or not isinstance(entry["reason"], str) or not entry["reason"]:
            yield f"failed: {shown(entry)} is not accepted; a planned run that is in no summary is, with the reason"
            return
        seen.add(run)


def _replay_against(replay: Any, of_rate: Sequence[Sequence[Row]], options: Any) -> Iterator[str]:
    """Yield what is wrong with a rate's requests, which must be the same for every policy, apart from a warm-up's."""
    named("replay", replay, REPLAY, ("num_beyond_context",))
    if not all(is_whole(replay[name]) for name in replay if name.startswith("num_")):
        yield f"replays: {shown(replay)} is not accepted; its numbers are whole"
        return
    if not _are_names(replay["tenants"]):
        yield f"tenants: {shown(replay['tenants'])} is not accepted; a list of names, each once, is"
        return
    warmup_s = _warmup_s(options)
    for rows in of_rate:
        if [[row[name] for name in SHARED] for row in rows] != [[row[name] for name in SHARED] for row in of_rate[0]]:
            yield "replays: the requests are not the same for every policy"
            return
        num_left = replay["num_requests"] - len(rows)
        first, arrived_at_s = rows[0]["request_id"], rows[0]["arrived_at_s"]
        if num_left < 0 or first != num_left or (num_left and not 0 < warmup_s <= arrived_at_s):
            yield f"num_requests: {replay['num_requests']}, but requests.csv has {len(rows)}, from {first} on"
        num_tokens = sum(row["num_tokens"] for row in rows)
        num_prompt_tokens = sum(row["num_prompt_tokens"] for row in rows)
        if num_prompt_tokens > replay["num_prompt_tokens"] or (
            num_left == 0 and num_prompt_tokens < replay["num_prompt_tokens"]
        ):
            yield f"num_prompt_tokens: {replay['num_prompt_tokens']}, but requests.csv has {num_prompt_tokens}"
        if num_tokens > replay["num_output_tokens"]:
            yield f"num_output_tokens: {replay['num_output_tokens']}, but requests.csv has {num_tokens}"
        num_own = sum(not is_equal(replay["slo"], _slo_of(row)) for row in rows)
        if num_own > replay["num_own_slo"]:
            yield f"slo: {shown(replay['slo'])}, but of {num_own} requests requests.csv has others"
        if not all(0 <= row["tenant"] < max(1, len(replay["tenants"])) for row in rows):
            yield f"tenants: {shown(replay['tenants'])}, but requests.csv has others"
        if not is_equal(replay["last_arrival_s"], rows[-1]["arrived_at_s"]):
            yield f"last_arrival_s: {shown(replay['last_arrival_s'])}, but it is {rows[-1]['arrived_at_s']!r}"


def _warmup_s(options: Any) -> float:
    given: Any = options.get("warmup") if isinstance(options, dict) else None
    return float(given) if is_finite(given) else 0.0


def _slo_of(row: Row) -> dict[str, float]:
    return {"ttft_s": row["slo_ttft_s"], "tpot_s": row["slo_tpot_s"]}


def _holds(policy: str, summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    by_rate = {
        summary["rate_per_s"]: summary
        for summary in summaries
        if summary["policy"] == policy and summary["complete"] and summary["rate_per_s"] is not None
    }
    rates = sorted(by_rate)
    shares, stable = ([by_rate[rate][name] for rate in rates] for name in ("attained", "stable"))
    highest = {f"{level:g}": highest_rate(rates, shares, level, stable) if rates else math.nan for level in LEVELS}
    known = {level: None if math.isnan(rate) else rate for level, rate in highest.items()}
    return {
        "policy": policy,
        "rates_per_s": rates,
        "attained": shares,
        "stable": stable,
        "highest_rate_per_s": known,
    }


def _are_names(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(name, str) for name in given) and len(set(given)) == len(given)


def _by_tenant(replays: Sequence[Any], runs: Mapping[Run, Sequence[Row]]) -> list[dict[str, Any]]:
    """The shares of each tenant's requests."""
    tenants = {replay["rate_per_s"]: replay["tenants"] for replay in replays if _are_names(replay.get("tenants"))}
    found = []
    for (policy, rate), rows in runs.items():
        for number, tenant in enumerate(tenants.get(rate, ())):
            if own := [row for row in rows if row["tenant"] == number]:
                metrics = metrics_of(own, latencies_of(own))
                shares = {name: getattr(metrics, name) for name in OF_TENANTS}
                of = {"policy": policy, "rate_per_s": rate, "tenant": tenant}
                found.append({**of, "num_requests": len(own), **shares})
    return found


def _rejected(runs: Mapping[Run, Sequence[Row]]) -> list[dict[str, Any]]:
    return [
        {"policy": policy, "rate_per_s": rate, "request_id": row["request_id"], "reason": row["reason"]}
        for (policy, rate), rows in runs.items()
        for row in rows
        if row["outcome"] == "rejected"
    ]


def _run_of(entry: Any, num_forms: Mapping[Run, int]) -> Run | None:
    """The run of a timeline whose points can be true; None of anything else."""
    if not isinstance(entry, dict) or set(entry) != {"policy", "rate_per_s", "points", "scheduling_s", "gap"}:
        return None
    runs = [run for run in num_forms if run == (entry["policy"], entry["rate_per_s"])]
    if not runs or not _are_points(entry["points"], num_forms[runs[0]]):
        return None
    beside = entry["scheduling_s"], entry["gap"]
    if not all(isinstance(values, list) and len(values) == len(entry["points"]) for values in beside):
        return None
    known = [value for value in chain(*beside) if value is not None]
    return runs[0] if None not in beside[0] and all(is_finite(value) and value >= 0 for value in known) else None


def _phases_of(entry: Any) -> Run | None:
    """The run of phases that can be true, each of which begins after the one before; None of anything else."""
    if not isinstance(entry, dict) or set(entry) != {"policy", "rate_per_s", "requests"}:
        return None
    requests = entry["requests"]
    if not isinstance(requests, list) or not all(map(_are_phases, requests)):
        return None
    return entry["policy"], entry["rate_per_s"]


def _are_phases(request: Any) -> bool:
    if not isinstance(request, dict) or set(request) != {"request_id", "start_s", "phase", "end_s"}:
        return False
    starts, names = request["start_s"], request["phase"]
    if not isinstance(starts, list) or not isinstance(names, list) or not 0 < len(starts) == len(names):
        return False
    times = [*starts, request["end_s"]]
    return all(map(is_finite, times)) and times == sorted(times) and set(map(str, names)) <= PHASES


def _are_points(points: Any, num_forms: int) -> bool:
    """Whether each point has two times in order, blocks in each form, and waiting requests, all at least 0."""
    length = num_forms + 3
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == length for point in points):
        return False
    starts = [point[0] for point in points]
    if not all(is_finite(number) for point in points for number in point) or starts != sorted(starts):
        return False
    return all(start <= end and min(means) >= 0 for start, end, *means in points)
