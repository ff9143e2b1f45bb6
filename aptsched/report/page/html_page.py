"""The whole page: one HTML file that opens without a network, and works without its script but for the zoom."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from html import escape
from importlib import resources
from typing import Any

from aptsched.report.page import gantt
from aptsched.report.page.command_line import command_of
from aptsched.report.page.marks import Ink
from aptsched.report.page.measure_figures import measure_figures, measure_table
from aptsched.report.page.parts import Figure, figure_html, legend_html, table_html
from aptsched.report.page.rate_figures import capacity_figures, run_figures
from aptsched.report.page.request_figures import request_figures
from aptsched.report.page.stored import Stored, StoredRun
from aptsched.report.page.tables import capacity_tables, run_tables
from aptsched.report.page.tenant_figures import even_figure, of_several, tenant_tables, worst_figure
from aptsched.report.page.time_figures import phases_figure, time_figures
from aptsched.support.plural import how_many

BESIDE = (
    "<p>The same requests by what others ask of them. Everywhere else a request of these runs attains if each of its "
    "tokens came by its deadline.</p>"
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"  # no request to any host


def inks_of(stored: Stored) -> dict[str, Ink]:
    """How each series is drawn: a colour and a marker by policy, and dashes by study where there are several."""
    colours = {policy: number for number, policy in enumerate(stored.policies)}
    studies = {run.study for run in stored.runs}
    inks = {policy: Ink(at, at, at) for policy, at in colours.items()}
    order = sorted(studies)
    for run in stored.runs:
        at = colours[run.policy]
        inks[run.label] = Ink(at, order.index(run.study) if len(studies) > 1 else at, at)
    return inks


def page(stored: Stored, title: str) -> str:
    """The page as HTML."""
    sections = dict(_sections(stored, inks_of(stored)))
    links = "".join(f'<li><a href="#{_anchor(name)}">{escape(name)}</a></li>' for name in sections)
    body = "".join(
        f'<section id="{_anchor(name)}"><h2>{escape(name)}</h2>{content}</section>'
        for name, content in sections.items()
    )
    css, script = (_file(name) for name in ("page.css", "zoom.js"))
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><meta name="generator" content="aptsched">'
        f"<title>{escape(title)}</title><style>{css}</style>"
    )
    top = f'<header><h1>{escape(title)}</h1>{_lead(stored)}<nav aria-label="sections"><ul>{links}</ul></nav></header>'
    return (
        f'<!doctype html><html lang="en"><head>{head}</head><body>{top}<main>{body}</main>'
        f"<script>{script}</script></body></html>\n"
    )


def _file(name: str) -> str:
    return resources.files("aptsched.report.page").joinpath(name).read_text(encoding="utf-8")


def _anchor(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())


def _lead(stored: Stored) -> str:
    """What was studied, in a line for each study."""
    lines = (
        f'<p class="lead"><b>{escape(study.name)}</b>: {escape(_setup(study.document))}</p>' for study in stored.studies
    )
    return "".join(lines)


def _setup(document: dict[str, Any]) -> str:
    options, gpu = document.get("options", {}), document.get("gpu")
    where = (
        f"{gpu['num_gpus']} x {gpu['name']}, simulated" if gpu else f"live on {document['model'].get('device', '?')}"
    )
    from_what = options.get("workload") or options.get("trace") or "its own requests"
    whole = "" if document.get("complete", True) else "; ended early, so not all runs are there"
    return f"{document['model']['name']} on {where}; {from_what}, seed {options.get('seed')}{whole}"


def _sections(stored: Stored, inks: Mapping[str, Ink]) -> Iterator[tuple[str, str]]:
    runs = stored.runs
    if stored.searches:
        own = {policy: inks[policy] for study in stored.searches for policy in _searched(study.document)}
        figures = [figure for study in stored.searches for figure in capacity_figures(study, inks)]
        yield (
            "Highest rates that hold",
            legend_html(own)
            + _grid(figures)
            + "".join(
                table_html(numbers, name)
                for study in stored.searches
                for name, numbers in capacity_tables(study.document)
            ),
        )
    if runs:
        legend = legend_html({run.label: inks[run.label] for run in runs})
        rated = [run for run in runs if run.rate_per_s is not None]
        over_rates = _grid(run_figures(runs, inks)) if rated else ""
        tables = "".join(table_html(numbers, caption) for caption, numbers in run_tables(runs))
        yield "Over the rate", legend + over_rates + tables
        beside = _grid(measure_figures(runs, inks)) if rated else ""
        yield "Other measures", BESIDE + legend + beside + table_html(measure_table(runs), "All runs: other measures")
        if shared := of_several(runs):
            yield "Tenants", legend + _tenants(shared, inks)
        yield "Single requests", legend + _by_rate(runs, lambda some: _grid(request_figures(some, inks)))
        yield "Over time", legend + _by_rate(runs, lambda some: _grid(time_figures(some, inks)))
        gantts = _by_rate(runs, lambda some: _grid(phases_figure(run) for run in some if run.phases))
        yield "What requests did when", gantt.legend() + gantts
    yield "How it was made", _made(stored)


def _tenants(runs: list[StoredRun], inks: Mapping[str, Ink]) -> str:
    rated = any(run.rate_per_s is not None for run in runs)
    worst = _grid([worst_figure(runs, inks)]) if rated else ""
    spread = _by_rate(runs, lambda some: _grid([even_figure(some, inks)]))
    return worst + spread + "".join(table_html(numbers, caption) for caption, numbers in tenant_tables(runs))


def _searched(document: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(row["policy"] for row in document["capacities"]))


def _grid(figures: Iterable[Figure]) -> str:
    return f'<div class="figures">{"".join(map(figure_html, figures))}</div>'


def _by_rate(runs: list[StoredRun], drawn: Callable[[list[StoredRun]], str]) -> str:
    """What is drawn of the runs of each rate, the highest first and open, the others to be opened."""
    rates = sorted({run.rate_per_s for run in runs}, key=lambda rate: -(rate or 0.0))
    parts = []
    for number, rate in enumerate(rates):
        name = "all requests at once" if rate is None else f"{how_many(rate, 'request')} a second"
        content = drawn([run for run in runs if run.rate_per_s == rate])
        parts.append(f"<details{'' if number else ' open'}><summary>{name}</summary>{content}</details>")
    return "".join(parts)


def _made(stored: Stored) -> str:
    """The commands, the versions, and what was not used."""
    parts = []
    for study in stored.studies:
        versions = ", ".join(
            f"{name} {version}" for name, version in study.document.get("versions", {}).items() if version
        )
        notices = "".join(f"<li>{escape(str(notice))}</li>" for notice in study.document.get("notices", []))
        parts.append(f"<h3>{escape(study.name)}</h3><pre>{escape(command_of(study.document))}</pre>")
        parts.append(f"<p>{escape(versions)}</p><ul>{notices}</ul>")
    if stored.notices:
        parts.append(
            "<h3>Not used</h3><ul>" + "".join(f"<li>{escape(notice)}</li>" for notice in stored.notices) + "</ul>"
        )
    return "".join(parts)
