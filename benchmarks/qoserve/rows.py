"""Published numbers of QoServe beside ours, with one cause changed where ours are off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from benchmarks.qoserve.violations import MEDIANS, Bench, Requests
from benchmarks.reproduce.figures import is_off
from benchmarks.reproduce.tables import table

ABLATION = {  # policy, highest rate with at most 1% violations, share of violations at OVERLOAD_PER_S; as published
    "EDF": ("qoserve:chunking=off:relegation=off:hybrid=off", 2.75, 1.00),
    "+ chunking": ("qoserve:relegation=off:hybrid=off", 3.3, 0.74),
    "+ relegation": ("qoserve:hybrid=off", 3.6, 0.26),
    "+ hybrid: QoServe": ("qoserve", 3.65, 0.16),
}
SARATHI = "sarathi:chunk_tokens=256"
OVER_SARATHI = (1.5, 2.4)  # times the rate of Sarathi-Serve, from and to, over models and sets
OVERLOAD_PER_S = 6.0
MEDIANS_2023 = (1469, 13)  # of the trace that the built-in lengths are of


@dataclass(frozen=True)
class Extent:
    """For how many hours requests arrive: at the overload, there with that changed, and where rates are sought."""

    hours: float = 1.0
    changed_hours: float = 2.0
    rate_hours: float = 0.25


@dataclass(frozen=True)
class Compared:
    """A published number, ours, and ours with one cause changed if the first is off.

    Attributes
    ----------
    what, system : str
    published, ours : float
    unit : str
        "%" for shares.
    cause : str
        What is changed.
    changed : float, optional
    stated : str
        What is published, where that is a range; `published` is the nearest of it then.
    """

    what: str
    system: str
    published: float
    ours: float
    unit: str
    cause: str = ""
    changed: float | None = None
    stated: str = ""

    def cells(self) -> tuple[str, ...]:
        """The row of a table."""
        ratio = f"{self.ours / self.published:.2f}"
        again = ("", "", "")
        if self.changed is not None:
            again = (self.cause, self._shown(self.changed), f"{self.changed / self.published:.2f}")
        published = self.stated or self._shown(self.published)
        return (self.what, self.system, published, self._shown(self.ours), ratio, *again)

    def _shown(self, value: float) -> str:
        return f"{100 * value:.3g}%" if self.unit == "%" else f"{value:.3g} {self.unit}"


def rows(bench: Bench, extent: Extent) -> Iterator[Compared]:
    """All numbers, as they become known."""
    yield from _overloaded(bench, extent)
    yield from _rates(bench, extent)


def written(found: list[Compared]) -> str:
    """The numbers as a table in Markdown."""
    head = ("what", "system", "published", "ours", "ours / published", "with one cause changed", "ours", "/ published")
    return table(head, [row.cells() for row in found])


def _overloaded(bench: Bench, extent: Extent) -> Iterator[Compared]:
    """Violations at the overload, and again where requests arrive for longer."""
    what = f"violations at {OVERLOAD_PER_S:g} req/s"
    for system, (policy, _, published) in ABLATION.items():
        ours = bench.served(policy, OVERLOAD_PER_S, Requests(extent.hours)).violations
        row = Compared(what, system, published, ours, "%", f"{extent.changed_hours:g} hours of arrivals")
        if is_off(ours, published):
            again = bench.served(policy, OVERLOAD_PER_S, Requests(extent.changed_hours))
            row = replace(row, changed=again.violations)
        yield row


def _rates(bench: Bench, extent: Extent) -> Iterator[Compared]:
    """The highest rates, and again where lengths are those of the earlier trace; the last over Sarathi-Serve's."""
    usual, earlier = (Requests(extent.rate_hours, medians=medians) for medians in (MEDIANS, MEDIANS_2023))
    highest = 0.0
    for system, (policy, published, _) in ABLATION.items():
        highest = bench.highest_rate(policy, usual)
        row = Compared("highest rate", system, published, highest, "req/s", "lengths of 2023")
        if is_off(highest, published):
            row = replace(row, changed=bench.highest_rate(policy, earlier))
        yield row
    ratio = highest / bench.highest_rate(SARATHI, usual)
    nearest = min(max(ratio, OVER_SARATHI[0]), OVER_SARATHI[1])
    stated = f"{OVER_SARATHI[0]} to {OVER_SARATHI[1]} x"
    yield Compared("highest rate, times Sarathi-Serve's", "+ hybrid: QoServe", nearest, ratio, "x", stated=stated)
