"""The part of docs/reproduction.md that is written from what was measured."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from benchmarks.reproduce.causes import CAUSES, MEANT, explained_by
from benchmarks.reproduce.decisions import IN_PYTHON
from benchmarks.reproduce.decisions import MEANT as MEANT_OF_DECISIONS
from benchmarks.reproduce.figures import BURSTS, OFF, RATES_PER_S, why_not
from benchmarks.reproduce.published import POLICIES, Published
from benchmarks.reproduce.seen import seen
from benchmarks.reproduce.study import FITTED, Line, Study
from benchmarks.reproduce.tables import honest_table, rate_table, table

BEGIN, END = "<!-- from here on written by make reproduce -->", "<!-- until here -->"
WIDTH = 140  # of a line of text
HEAD = ("where", "of", "what", "setting", "published", "ours", "ours / published", "")
CHANGES = (*CAUSES, IN_PYTHON)  # columns of the table of reruns


def with_written(page: str, written: str, begin: str = BEGIN) -> str:
    """The page with other text between a mark and the next `END`.

    Raises
    ------
    ValueError
        A mark is missing.
    """
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"the page needs the lines {begin} and {END}")
    return f"{before}{begin}\n\n{written}\n\n{END}{after}"


def written(study: Study) -> str:
    """All sections, from what was measured so far."""
    lines = study.lines()
    bullets = [textwrap.fill(f"- {said}", WIDTH, subsequent_indent="  ") for said in seen(study)]
    parts = [
        "## What is seen",
        "\n".join(bullets),
        "## Side by side",
        textwrap.fill(_introduction(study), WIDTH),
        table(HEAD, [row_of(line) for line in lines]),
        textwrap.fill(counted(lines), WIDTH),
        "## With one condition changed",
        _changes(study),
        table(("", "published", "ours", *CHANGES), list(rerun_rows(lines))),
        "## Rates that hold",
        "Requests a second within a TTFT of 1 s and a P99 of own gaps of 1 s, as above; a dash where none is found.",
        rate_table(study),
        "## Under the honest measure",
        textwrap.fill(_honest_words(study), WIDTH),
        honest_table(study),
    ]
    return "\n\n".join(parts)


def row_of(line: Line) -> tuple[str, ...]:
    """A number's row."""
    row = line.published
    of = row.system if row.other is None else f"{row.system} over {row.other}"
    ours, ratio = "", ""
    if line.ours is not None:
        ours, ratio = shown(row, line.ours), f"{line.ours / row.value:.2g}"
    return (
        row.source,
        of,
        str(row.quantity),
        row.setting,
        row.shown,
        ours,
        ratio,
        "; ".join(filter(None, (_only(line), said_of(line)))),
    )


def _only(line: Line) -> str:
    return f"so far of {', '.join(line.only)} alone" if line.only and line.ours is not None else ""


def said_of(line: Line) -> str:
    """What is to be said of a number: why it is not run, or what a difference of more than 35% comes from."""
    row = line.published
    reason = why_not(row)
    if reason is not None:
        return f"not run: {reason}"
    if row == FITTED:
        return "fitted to it"
    if line.ours is None:
        return "not run yet, or no rate holds"
    if not line.is_off:
        return ""
    if not line.reruns:
        return "off; no change was run"
    found = explained_by(list(line.reruns))
    return "unexplained" if found is None else f"{found.cause}: {shown(row, found.before)} to {shown(row, found.after)}"


def rerun_rows(lines: Iterable[Line]) -> Iterator[tuple[str, ...]]:
    """Numbers that are off, with each condition changed; changes that close half of the gap in bold."""
    for line in lines:
        if not line.reruns:
            continue
        by_cause = {each.cause: each for each in line.reruns}
        row = line.published
        of = row.system if row.other is None else f"over {row.other}"
        cells = [by_cause.get(cause) for cause in CHANGES]
        figures = [
            "" if each is None else f"**{shown(row, each.after)}**" if each.closes_half else shown(row, each.after)
            for each in cells
        ]
        yield (f"{row.source}, {of}, {row.setting}", row.shown, shown(row, line.reruns[0].before), *figures)


def shown(row: Published, value: float) -> str:
    """A figure in the unit of a published number."""
    return replace(row, value=float(f"{value:.3g}")).shown


def counted(lines: Sequence[Line]) -> str:
    """How many numbers there are of each kind."""
    not_run = [line for line in lines if line.ours is None]
    within = [line for line in lines if line.ours is not None and not line.is_off and line.published != FITTED]
    off = [line for line in lines if line.is_off and line.published != FITTED]
    changed = [line for line in off if line.reruns]
    explained = [line for line in changed if explained_by(list(line.reruns)) is not None]
    return (
        f"Of {len(lines)} numbers: 1 fitted, {len(within)} within {OFF:.0%}, {len(explained)} off with a change that "
        f"closes half of the gap or more, {len(changed) - len(explained)} off with no such change, "
        f"{len(off) - len(changed)} off that were not run with a change, {len(not_run)} not run."
    )


def _introduction(study: Study) -> str:
    conditions, num_seeds = study.conditions, len(study.extent.seeds)
    rates = ", ".join(f"{rate:g} on {name}" for name, rate in RATES_PER_S.items())
    seeds = "1 seed" if num_seeds == 1 else f"the mean over {num_seeds} seeds"
    return (
        f"One scalar is free: the outputs of all sets are {conditions.output_scale:g} times as long as drawn. It is "
        f"fitted to one number, the {FITTED.shown} that {FITTED.system} holds at {FITTED.level:.0%} with OPT-13B on "
        f"ShareGPT, by the share of `{POLICIES[FITTED.system]}` at that rate, and nothing else is tuned. Each of our "
        f"figures is of {seeds}, runs have {conditions.num_requests} requests, hidden states are rebuilt, iterations "
        "take what DistServe's fits say, and for OPT-30B, which has none, a roofline. The highest rate that holds is "
        "that of `aptsched capacity` in its setting *paper*: the highest one below which every probed rate holds. "
        f"Where the rate of arrivals is not at hand (figures 9, 10) it is {rates} requests a second, and CVs are "
        f"{', '.join(f'{cv:g}' for cv in BURSTS)}. Starved is who has the first token later than 10 times its "
        "objective. The last column says what closes at least half of the gap where we are off by more than 35%, with "
        "our figure without that change and with it."
    )


def _changes(study: Study) -> str:
    models = study.rerun_extent.models
    of = "all models" if models is None else ", ".join(models)
    meanings = "\n".join(f"- **{cause}**: {meaning}." for cause, meaning in {**MEANT, **MEANT_OF_DECISIONS}.items())
    said = (
        f"Reruns are of {of} and the first seed; the column *ours* is the same without a change, so it can differ from "
        "the figure above where that is of more models. In bold: at least half of the gap is closed. Without a figure "
        "it was not run, or is not changed."
    )
    return f"{textwrap.fill(said, WIDTH)}\n\n{meanings}"


def _honest_words(study: Study) -> str:
    honest = study.honest("absorbed")
    return (
        "Requests a second at 90% where each token has its deadline, arrival + TTFT + (i - 1) TPOT with a TTFT of "
        f"{honest.ttft_s:g} s and a TPOT of {honest.tpot_s:g} s, 660 s of requests arrive, of which the first 60 s do "
        "not count, all are served to the end, and the run has to be stable. OPT-13B, the first seed, outputs scaled "
        "as above; in brackets how many times the rate of `fcfs` it is. Absorbed: hidden states are read without being "
        "rebuilt. A dash: it was not run, or no rate holds."
    )
