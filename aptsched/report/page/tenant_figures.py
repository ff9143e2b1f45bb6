"""Figures and tables of tenants: how evenly the requests of each attain."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from aptsched.report.page.chart import Drawing, Line, draw
from aptsched.report.page.parts import Figure, Numbers
from aptsched.report.page.rate_figures import SHARE, Inks, over_rates, share_axis
from aptsched.report.page.request_figures import spread
from aptsched.report.page.scales import Axis
from aptsched.report.page.stored import StoredRun

MAX_TENANTS = 20  # of a run that are in the table
OF_TENANT = ("tenant", "num_requests", "attained", "attained_ttft", "attained_max_tbt", "rejected", "starved")
HEADS = ("tenant", "requests", "attained", "TTFT", "largest TBT", "rejected", "starved")
OF_REQUESTS = Axis("share of its requests that attained", low=0.0, high=1.0, is_padded=True, text=SHARE.text)


def of_several(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """The runs whose requests are of more than one tenant."""
    return [run for run in runs if len(run.tenants) > 1]


def worst_figure(runs: Sequence[StoredRun], inks: Inks) -> Figure:
    """What the tenant that is served worst attains, over the rate."""
    return over_rates(
        runs,
        inks,
        "The tenant that is served worst",
        "Of the tenant that attained least the share of its requests that did, at each rate. Where it is far below the "
        "share of all requests, some pay for the others.",
        share_axis([min(_shares(run)) for run in runs]),
        lambda run: min(_shares(run)),
    )


def even_figure(runs: Sequence[StoredRun], inks: Inks) -> Figure:
    """How attained shares are spread over the tenants of some runs."""
    lines = [Line(run.label, inks[run.label], _steps(_shares(run)), is_stepped=True, has_marks=False) for run in runs]
    title = "Attainment by tenant"
    axis = Axis("share of tenants", low=0.0, high=1.0, text=SHARE.text)
    return Figure(
        title,
        "The share of the tenants of whose requests at most so many attained. The further right a curve is the better; "
        "one that rises at a single place serves all tenants alike.",
        draw(Drawing(title, OF_REQUESTS, axis, lines)),
        Numbers(("policy", "tenants", "worst", "median", "best"), [(run.label, *_summary(run)) for run in runs]),
    )


def tenant_tables(runs: Sequence[StoredRun]) -> Iterator[tuple[str, Numbers]]:
    """The spread over the tenants of each run, and the tenants that attained least."""
    rows = [(run.label, run.rate_per_s, *_summary(run), run.summary.get("jain")) for run in runs]
    heads = ("policy", "rate, 1/s", "tenants", "worst", "median", "best", "Jain's index of all slowdowns")
    yield "Tenants of each run: attained shares", Numbers(heads, rows)
    least = [
        (run.label, run.rate_per_s, *(tenant[name] for name in OF_TENANT))
        for run in runs
        for tenant in sorted(run.tenants, key=lambda tenant: (tenant["attained"], -tenant["num_requests"]))[
            :MAX_TENANTS
        ]
    ]
    many = any(len(run.tenants) > MAX_TENANTS for run in runs)
    note = f"Of each run up to {MAX_TENANTS} tenants, those that attained least; results.json has all." if many else ""
    yield "Tenants that attained least", Numbers(("policy", "rate, 1/s", *HEADS), least, note)


def _shares(run: StoredRun) -> list[float]:
    return [tenant["attained"] for tenant in run.tenants]


def _steps(shares: Sequence[float]) -> list[tuple[float, float]]:
    """The curve from no tenant on to all of them."""
    ordered = sorted(shares)
    return [(0.0, 0.0), *spread(ordered, len(ordered))]


def _summary(run: StoredRun) -> tuple[int, float, float, float]:
    shares = _shares(run)
    return len(shares), min(shares), statistics.median(shares), max(shares)
