"""The decisions of a run with their certificates, as JSON Lines: a header, then one iteration a line.

The schema is described in docs/formats.md; `aptsched verify` checks such a file.
"""

from __future__ import annotations

import hashlib
import re
import sys
from typing import Any

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.instance import array_json, content_json, digest_of, encoded_fields
from aptsched.problem.selection import Selection
from aptsched.support.errors import InputError
from aptsched.support.json_text import compact_json
from aptsched.support.shown import shown

SCHEMA = "aptsched.certificates"
VERSION = 1
HEADER = {"schema": SCHEMA, "version": VERSION}
EXACT = sys.float_info.epsilon  # the largest gap that is none but for rounding: only such a decision is for several
SUFFIXES = {"plain": ".jsonl", "gzip": ".jsonl.gz", "none": None}
NUMBERS = ("objective_s", "bound_s", "num_blocks", "num_tokens", "gap")  # of a selection
BUILT_IN = re.compile(r"(?=.{1,100}$)[a-z0-9-]+(:[a-z_]+(=[A-Za-z0-9.]+)?)*")  # names that differ as names of files too


def check_kind(kind: str) -> None:
    """Raise InputError unless it is a kind of log."""
    if kind not in SUFFIXES:
        raise InputError(f"certificates: {shown(kind)} is not accepted; {', '.join(SUFFIXES)} are")


def file_name(policy: str, rate_per_s: float | None = None, kind: str = "plain") -> str | None:
    """The name of the log of a run in its directory: certificates-POLICY.jsonl, or certificates-POLICY-rateR.jsonl.

    Parameters
    ----------
    policy : str
        A policy that is not built in, or has many options, gets the first digits of its SHA-256 in the file's name.
    rate_per_s : float, optional
        Where there are several rates.
    kind : str
        "plain"; "gzip", with .gz behind the name; or "none", without a log: None is returned.
    """
    suffix = SUFFIXES[kind]
    if suffix is None:
        return None
    name = re.sub(r"[^A-Za-z0-9.]+", "-", policy).strip("-.")
    if not BUILT_IN.fullmatch(policy):
        name = f"{name[-40:]}-{hashlib.sha256(policy.encode(errors='surrogateescape')).hexdigest()[:8]}"
    short = f"{rate_per_s:g}" if rate_per_s is not None else ""
    rate = "" if rate_per_s is None else f"-rate{short if float(short) == rate_per_s else repr(rate_per_s)}"
    return f"certificates-{name}{rate}{suffix}"


def record_line(iteration: int, problem: BatchProblem, selection: Selection, num_iterations: int = 1) -> str:
    """One decision as a line, with its line end.

    A problem of thousands of requests is longer than all else: it is encoded once, for the line and its digest.

    Parameters
    ----------
    iteration : int
        Its number, above that of the record before.
    problem : BatchProblem
    selection : Selection
    num_iterations : int
        Iterations in a row, from that one on, in which its plan was carried out; left out where it is 1.
    """
    encoded, count = encoded_fields(problem), "" if num_iterations == 1 else f',"num_iterations":{num_iterations}'
    numbers = {name: getattr(selection, name) for name in NUMBERS}
    rest = as_line({"multipliers": vars(selection.multipliers), **numbers})
    head = f'{{"iteration":{iteration}{count},"problem":{content_json(encoded)},"sha256":"{digest_of(encoded)}"'
    return f'{head},"form":{array_json(selection.form)},{rest[1:]}'


def as_line(document: dict[str, Any]) -> str:
    """An object, such as the header, as one line, with its line end."""
    return compact_json(document) + "\n"
