"""Figures of other measures over the rate, beside attainment by deadlines and from the same requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from aptsched.report.page.parts import Figure, Numbers
from aptsched.report.page.rate_figures import Inks, over_rates, share_axis
from aptsched.report.page.scales import Axis
from aptsched.report.page.stored import StoredRun
from aptsched.report.page.tables import run_rows

SHARES = {
    "attained_p99_tbt": (
        "First token and own P99 gap, as Apt-Serve",
        "The share of requests with their first token in time, and of whose own gaps between tokens 99% are within the "
        "objective. A single gap of any length goes unseen in an output of over 100 tokens.",
    ),
    "attained_mean_tbt": (
        "First token and mean gap, as DistServe",
        "The share of requests with their first token in time, and the mean of whose gaps is within the objective. "
        "Tokens that come early make up for a stall, also for one before them.",
    ),
}
MEASURES = {
    "attained, by deadlines": ("attained",),
    "TTFT alone": ("attained_ttft",),
    "and own P99 TBT": ("attained_p99_tbt",),
    "and mean TBT": ("attained_mean_tbt",),
    "and largest TBT": ("attained_max_tbt",),
    "fluidity": ("fluidity",),
    "largest TBT, s": ("max_tbt_s",),
    "Jain's index": ("jain",),
}


def measure_figures(runs: Sequence[StoredRun], inks: Inks) -> Iterator[Figure]:
    """The shares that two papers call attained, and Etalon's fluidity index."""
    for name, (title, reads) in SHARES.items():
        of = partial(_of_summary, name)
        yield over_rates(runs, inks, title, reads, share_axis([of(run) for run in runs]), of)
    yield over_rates(
        runs,
        inks,
        "Fluidity, as Etalon",
        "The share of a request's deadlines that it met, where each late token moves those after it: the mean over all "
        "requests. 1 is that none waited for a token. A request that is rejected has 0.",
        Axis("fluidity index", low=0.0, high=1.0, text="{:.3g}".format),
        partial(_of_summary, "fluidity"),
    )


def measure_table(runs: Sequence[StoredRun]) -> Numbers:
    """All measures of each run side by side."""
    return run_rows(runs, MEASURES)


def _of_summary(name: str, run: StoredRun) -> float:
    value: float = run.summary[name]
    return value
