"""Plots of the gap study as PNG, drawn without a display."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aptsched.report.figure import png
from aptsched.support.text_lines import wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLOOR = 1e-9  # the axis of gaps is logarithmic
PAPER_SIZES, PAPER_MS = (50, 1600), (0.3, 10.8)  # of a decision: Apt-Serve (SIGMOD 2025), table 6, first and last row
LABEL = 40  # characters of a line in the legend
MARKERS = "osv^D<>pPX*"


@dataclass(frozen=True)
class Series:
    """One line: a method's values over the number of requests."""

    label: str
    num_requests: Sequence[int]
    values: Sequence[float]


def gap_over_size(to_optimum: Sequence[Series], certified: Sequence[Series]) -> bytes:
    """Gaps (as shares of the optimum) over the number of requests, to the optimum and certified side by side, PNG."""
    figure, panels = _panels(2, "mean gap, share of the optimum")
    for axes, lines, name in zip(panels, (to_optimum, certified), ("gap to the optimum", "certified gap"), strict=True):
        axes.set_title(f"{name} (0 is drawn at $10^{{-9}}$, as is all below)", fontsize=9)
        highest = max((value for line in lines for value in line.values), default=0.0)
        axes.set_ylim(FLOOR / 2, 2 * max(highest, 10 * FLOOR))
        axes.axhline(FLOOR, color="0.8", zorder=0)
        for i, line in enumerate(lines):
            _draw(axes, line.num_requests, [max(value, FLOOR) for value in line.values], line.label, i)
    return _with_ticks(figure, panels, [n for line in certified for n in line.num_requests])


def time_over_size(series: Sequence[Series]) -> bytes:
    """Milliseconds of one decision over the number of requests beside the paper's, PNG; the values are in seconds."""
    figure, panels = _panels(1, "median time of one decision, ms")
    for i, line in enumerate(series):
        _draw(panels[0], line.num_requests, [value * 1e3 for value in line.values], line.label, i)
    panels[0].plot(PAPER_SIZES, PAPER_MS, color="black", linestyle=":", marker="x", label="Apt-Serve, table 6")
    return _with_ticks(figure, panels, [*PAPER_SIZES, *(n for line in series for n in line.num_requests)])


def _panels(number: int, ylabel: str) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 + 3.6 * number, 4.2), dpi=150, layout="constrained")
    panels = [figure.add_subplot(1, number, 1 + i) for i in range(number)]
    for axes in panels:
        axes.set(xscale="log", yscale="log", xlabel="requests in the queue")
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(ylabel)
    return figure, panels


def _draw(axes: Axes, sizes: Sequence[int], values: Sequence[float], label: str, i: int) -> None:
    """One line; the earlier ones have larger markers, to be seen where lines coincide."""
    size = max(3, 9 - i)
    axes.plot(
        sizes,
        values,
        label="\n".join(wrapped(label, LABEL)),
        color=f"C{i % 10}",
        marker=MARKERS[i % len(MARKERS)],
        markersize=size,
        alpha=0.8,
    )


def _with_ticks(figure: Figure, panels: Sequence[Axes], sizes: Sequence[int]) -> bytes:
    from matplotlib.ticker import NullLocator

    ticks = sorted(set(sizes))
    for axes in panels:
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside right center")
    return png(figure)
