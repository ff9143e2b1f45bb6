"""One answer as text."""

from __future__ import annotations

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.report import table
from aptsched.support.text_lines import wrapped
from solvers.study.method_runs import Record


def answer_text(problem: BatchProblem, record: Record, width: int) -> str:
    """Lines of that width: status, objective, bounds, what is used of each limit, and the requests of each form."""
    lines = {"method": f"{record.method} (guarantee: {record.guarantee})", "status": record.status}
    if record.overload is not None:
        blocks, tokens, seqs = record.overload
        lines["overload"] = (
            f"{_count(blocks, 'block')}, {_count(tokens, 'token')}, {_count(seqs, 'sequence')}, "
            "each required request in its lightest form"
        )
    if record.form is not None:
        lines |= _values(record) | _use(problem, record) | _forms(problem, record)
    lines["time"] = table.duration(record.seconds)
    return "\n".join(line for name, text in lines.items() for line in wrapped(f"{name:<12}{text}", width, " " * 12))


def _values(record: Record) -> dict[str, str]:
    prices = record.multipliers
    by = (
        ""
        if prices is None
        else (
            f" by the multipliers {prices.per_block_s:g} s a block, {prices.per_token_s:g} s a token, "
            f"{prices.per_seq_s:g} s a sequence"
        )
    )
    return {
        "objective": f"{record.objective_s!r} s",
        "bound": f"{record.bound_s!r} s",
        "certified": f"{record.certified_bound_s!r} s{by}, gap {table.gap(record.certified_gap)}",
    }


def _use(problem: BatchProblem, record: Record) -> dict[str, str]:
    used = {
        "blocks": (record.num_blocks, problem.capacity),
        "tokens": (record.num_tokens, problem.max_tokens),
        "sequences": (record.num_seqs, problem.max_seqs),
    }
    return {name: f"{use}" if limit is None else f"{use} of {limit}" for name, (use, limit) in used.items()}


def _forms(problem: BatchProblem, record: Record) -> dict[str, str]:
    form = np.array(record.form)
    lines = {}
    for f in range(1, problem.num_forms + 1):
        served = np.flatnonzero(form == f)
        lines[f"form {f}"] = _count(len(served), "request") + (f": {' '.join(map(str, served))}" if len(served) else "")
    return lines | {"not served": _count(int(np.count_nonzero(form == 0)), "request")}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
