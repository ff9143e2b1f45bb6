"""The plot of the highest rates that hold: attainment over the rate, with levels, intervals and bounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aptsched.report.figure import panels, png
from aptsched.support import text_lines

TITLE, LABEL = 80, 40  # characters of a line
NONE_PASSES = "no policy passes it"  # a dashed line, in the legend
FAR = 4.0  # times the highest rate: a bound beyond is said over the panel, and not drawn


@dataclass(frozen=True)
class Held:
    """What a policy attained, and which rates it holds.

    Attributes
    ----------
    label : str
    points : sequence of (rate, share)
        Of every run.
    intervals : sequence of (level, rate, low, high)
        Nan where there is none.
    bound_per_s : float
        The rate that no policy with these forms of cache passes at the lowest level; 0 where it is not known.
    """

    label: str
    points: Sequence[tuple[float, float]]
    intervals: Sequence[tuple[float, float, float, float]]
    bound_per_s: float


@dataclass(frozen=True)
class Panel:
    """The policies in one setting under one pair of objectives."""

    title: str
    held: Sequence[Held]


def draw(shown: Sequence[Panel]) -> bytes:
    """A panel for each setting: a mark for each run, a bar for an interval, a dashed line for a bound; PNG."""
    figure, axes_of = panels(len(shown), 1, 7.0, 3.2)
    for axes, panel in zip(axes_of, shown, strict=True):
        for level in {level for held in panel.held for level, *_ in held.intervals}:
            axes.axhline(level, color="0.5", linestyle=":", linewidth=1)
        for i, held in enumerate(panel.held):
            colour, mark = f"C{i % 10}", "osv^D"[i % 5]
            rates, shares = [rate for rate, _ in held.points], [share for _, share in held.points]
            label = "\n".join(text_lines.wrapped(held.label, LABEL))
            axes.plot(rates, shares, mark, color=colour, markersize=3, alpha=0.5, label=label)
            for level, rate, low, high in held.intervals:
                if not math.isnan(rate):
                    axes.plot([rate], [level], mark, color=colour, markersize=7, markeredgecolor="black")
                if not math.isnan(low):
                    axes.plot([low, high], [level, level], color=colour, linewidth=3, solid_capstyle="butt")
        bounds = sorted({held.bound_per_s for held in panel.held if 0 < held.bound_per_s < math.inf})
        highest = max((rate for held in panel.held for rate, _ in held.points), default=1.0)
        for bound in bounds:
            if bound <= FAR * highest:
                axes.axvline(
                    bound, color="black", linestyle="--", linewidth=1, label=NONE_PASSES if bound == bounds[0] else None
                )
        said = panel.title + (f". No policy passes {' or '.join(f'{bound:.3g}' for bound in bounds)}" if bounds else "")
        axes.set_title("\n".join(text_lines.wrapped(said, TITLE)), fontsize=9)
        lowest = min((share for held in panel.held for _, share in held.points), default=0.0)
        axes.set(xscale="log", ylabel="share that attains", ylim=(lowest - 0.05, 1.02))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.tick_params(axis="x", which="both", labelsize=7)
        axes.legend(fontsize=8, loc="lower left")
    axes_of[-1].set_xlabel("requests a second")
    return png(figure)
