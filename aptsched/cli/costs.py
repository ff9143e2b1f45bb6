"""Several costs of one command: a study of each, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aptsched.cli.unwritten import raise_first
from aptsched.support.errors import InputError
from aptsched.support.several import several
from aptsched.support.shown import shown

if TYPE_CHECKING:
    from engine.study.simulate_options import SimulateOptions

CostAndOut = tuple[str | None, str | None]


def by_cost(given: Sequence[str] | None, out: str | None, as_json: bool) -> list[CostAndOut]:
    """Each cost, and the directory of its results: one alone has `out`, of several each has a folder in it.

    Raises
    ------
    InputError
        Several would have the same folder, or are to be printed as one JSON document.
    """
    costs = [None] if given is None else several("cost", given)
    if len(costs) == 1:
        return [(costs[0], out)]
    if as_json:
        raise InputError("json: it is not accepted with several costs, as each has a document; one cost is, or --out")
    folders = [Path(cost or "").stem for cost in costs]
    twice = [folder for folder in folders if folders.count(folder) > 1]
    if twice:
        raise InputError(f"cost: {shown(twice[0])} is given twice; each once is accepted")
    pairs = zip(costs, folders, strict=True)
    return [(cost, None if out is None else str(Path(out) / folder)) for cost, folder in pairs]


def check_each(costs: Sequence[CostAndOut], options: Callable[..., SimulateOptions]) -> None:
    """Refuse, before any study, a cost of several that is not known or does not fit the other options."""
    from engine.study.simulation import simulated_server

    for each in [options(cost=cost) for cost, _ in costs] if len(costs) > 1 else []:
        simulated_server(each.setup, each.limits)


def one_by_one(costs: Sequence[CostAndOut], serve: Callable[[str | None, str | None], int]) -> int:
    """Serve each cost, and return the exit code: an interrupt ends all, and what failed is said once all are served."""
    failed: list[InputError] = []
    for number, (cost, out) in enumerate(costs):
        if number:
            print()
        try:
            code = serve(cost, out)
        except InputError as error:
            failed.append(error)
            continue
        if code:
            return code
    raise_first(failed)
    return 0
