"""The decisions of a run with their certificates, as JSON Lines: a header, then one iteration a line.

The schema is described in docs/formats.md; `aptsched verify` checks such a file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aptsched.instance import content, digest
from aptsched.problem import BatchProblem
from aptsched.selection import Selection

SCHEMA = "aptsched.certificates"
VERSION = 1
HEADER = {"schema": SCHEMA, "version": VERSION}


def as_record(
    iteration: int, problem: BatchProblem, selection: Selection, entries: Sequence[tuple[int, int]] | None = None
) -> dict[str, Any]:
    """One decision as plain values.

    Parameters
    ----------
    iteration : int
        Above that of the record before.
    problem : BatchProblem
    selection : Selection
    entries : sequence of (request, form), optional
        What was put into the batch for it, where that is to be checked too: rows of the problem, each at most once.
    """
    record = {
        "iteration": iteration,
        "problem": content(problem),
        "sha256": digest(problem),
        "form": selection.form.tolist(),
        "multipliers": vars(selection.multipliers),
        "objective_s": selection.objective_s,
        "bound_s": selection.bound_s,
        "num_blocks": selection.num_blocks,
        "num_tokens": selection.num_tokens,
        "gap": selection.gap,
    }
    return record if entries is None else record | {"entries": [[int(i), int(form)] for i, form in entries]}


def as_line(document: dict[str, Any]) -> str:
    """The header or a record as one line, with its line end."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"
