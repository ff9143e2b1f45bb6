"""Small directories of results, as the commands write them, and changes to them. Test modules import it by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aptsched.report.document import as_json, named_file, sealed
from commands import call
from proofs import search, verification

TRACE = """arrived_at_s,prompt_tokens,output_tokens,tenant,priority,slo_ttft_s,slo_tpot_s
0,60,5,a,1,,
0.01,90,4,b,0,0.2,
0.02,3000,3,a,0,,
0.02,100,6,b,,,0.03
0.05,40,1,,-2,,
0.3,70,5,b,0,,
"""
SIMULATE = ("--rate", "20,60", "--policy", "fcfs,aptserve", "--num-blocks", "14", "--jobs", "1")
OBJECTIVES = ("--slo-ttft", "0.1", "--slo-tpot", "0.05")
GAP = ("--workload", "longbench", "--num-requests", "6,9", "--load", "0.1,0.5", "--instances", "1")
METHODS = ("--methods", "greedy,core,algorithm1")

Path_ = tuple[str | int, ...]  # to a value in a document


def simulated(directory: Path, *more: str) -> Path:
    """Two policies at two rates on a pool for two of six requests, of which one is rejected and one has one token."""
    trace = directory / "trace.csv"
    trace.write_text(TRACE)
    out = directory / "run"
    assert call("simulate", "--trace", str(trace), *SIMULATE, *OBJECTIVES, "--out", str(out), *more) == 0
    return out


def studied(directory: Path, *more: str) -> Path:
    """A gap study of four queues."""
    out = directory / "gap"
    assert call("gap", *GAP, *METHODS, "--out", str(out), *more) == 0
    return out


def failures(path: Path) -> list[str]:
    """What `aptsched verify` has against results: file, entry and reason."""
    sources, _ = search.find_results(path)
    reports = [verification.report(source, lambda doing: None) for source in sources]
    return [
        f"{Path(report.file).name}: {verdict.name}: {reason}"
        for report in reports
        for verdict in report.failures
        for reason in verdict.reasons
    ]


def document(directory: Path) -> dict[str, Any]:
    """What results.json has."""
    parsed: dict[str, Any] = json.loads((directory / "results.json").read_text())
    return parsed


def seal(directory: Path, changed: dict[str, Any] | None = None) -> None:
    """Write the document with the right digests, of itself and of its files: a change that no digest shows."""
    given = document(directory) if changed is None else changed
    if isinstance(given.get("files"), list):
        for i, entry in enumerate(given["files"]):
            if isinstance(entry, dict) and isinstance(entry.get("file"), str) and (directory / entry["file"]).is_file():
                of = {name: value for name, value in entry.items() if name not in ("file", "sha256")}
                given["files"][i] = named_file(directory, entry["file"], **of)
    (directory / "results.json").write_text(as_json(sealed(given)))


def leaves(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every value of a document that is no list and no object, and where it is; an empty one counts."""
    if isinstance(value, (dict, list)) and value:
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(entry, (*path, key))
    else:
        yield path, value


def replaced(value: Any, path: Path_, new: Any) -> Any:
    """A copy of the document with another value there."""
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def others(value: Any) -> Iterator[Any]:
    """Some values near one."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, (int, float)):
        yield from (value + 1, value * 2 if value else 0.5, -1, None)
    elif isinstance(value, str):
        yield from (value + "x", None)
    else:
        yield from (0, "x")


def rewritten(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """The file with other lines."""
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))
