"""The files of a search for the highest rates that hold: capacity.json and capacity.png (docs/formats.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aptsched.report import capacity_plot
from aptsched.report.capacity_plot import Held, Panel
from aptsched.report.document import as_json, known, prepare
from aptsched.support import files
from aptsched.support.errors import InputError
from aptsched.support.json_text import as_shown, read_json
from engine.capacities.found import Capacity, Group

FILES = ("capacity.json", "capacity.png")
STUDIED = (
    *("model", "gpu", "tp", "weight_bytes", "kv_bytes", "num_blocks", "cost"),
    *("workload", "trace", "cv", "jitter", "max_prompt_tokens", "max_output_tokens"),
)  # options with other values of which a search is of something else; it may go on with others of all the rest
OWN = "a new directory, or the study's own, is accepted"


def place(path: str, options: Mapping[str, Any]) -> Path:
    """The directory for a search with these options, as they are recorded; made, and found to be writable.

    Raises
    ------
    InputError
        It cannot be written to, or has the results of another study, which would be lost, or taken for one.
    """
    directory = prepare(path, FILES)
    if (directory / "results.json").exists():
        raise InputError(f"out: {path} has results.json, of another study; {OWN}")
    before = _options(directory / FILES[0])
    other = None if before is None else next((name for name in STUDIED if before.get(name) != options[name]), None)
    if before is not None and other is not None:
        values = f"{as_shown(before.get(other))}, not {as_shown(options[other])}"
        raise InputError(f"out: {path} has {FILES[0]}, of another study: its {other} is {values}; {OWN}")
    return directory


def _options(path: Path) -> Mapping[str, Any] | None:
    """The options of a search that was written; None where there is none."""
    if not path.exists():
        return None
    found = read_json(path)
    options = found.get("options") if isinstance(found, dict) else None
    return options if isinstance(options, dict) else {}


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row as JSON has it: None where there is no number."""
    return {name: _known(value) for name, value in row.items()}


def _known(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_known(each) for each in value]
    return known(value) if isinstance(value, float) else value


def probe_rows(group: Group) -> Iterator[dict[str, Any]]:
    """Every probe of a group, with what it is a probe of: by policy, seed and rate."""
    for (policy, number), searched in group.searched.items():
        case = {"policy": policy, "setting": group.setting.name, "slo": group.objectives.name}
        seed = {"number": number, "seed": searched.case.arrivals.source.seed}
        for probe in searched.probes:
            yield {**case, **seed, **plain(asdict(probe))}


def write(directory: Path, document: dict[str, Any], groups: Sequence[Group], capacities: Sequence[Capacity]) -> None:
    """Write the plot and the document, each whole; raises InputError where that cannot be done."""
    files.write(directory / "capacity.png", capacity_plot.draw([_panel(group, capacities) for group in groups]))
    files.write(directory / "capacity.json", as_json(document))


def _panel(group: Group, capacities: Sequence[Capacity]) -> Panel:
    """Attainment over the rate in one setting under one pair of objectives."""
    title = f"{group.setting.name}, {group.objectives}"
    mine = [each for each in capacities if (each.setting, each.slo) == (group.setting.name, group.objectives.name)]
    held = []
    for policy in group.policies:
        probes = [p for number in group.arrivals for p in group.searched[policy, number.number].probes]
        points = sorted((probe.rate_per_s, probe.attained) for probe in probes if probe.attained is not None)
        found = [each for each in mine if each.policy == policy]
        intervals = [(each.level, each.rate_per_s, each.low, each.high) for each in found]
        held.append(Held(policy, points, intervals, max((each.bound_per_s for each in found), default=0.0)))
    return Panel(title, held)
