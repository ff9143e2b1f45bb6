"""Plots about serving: who meets the objectives, what the memory holds over time, what hidden states cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aptsched.report.figure import panels, png
from aptsched.report.table import short_duration
from aptsched.support import text_lines

LABEL, TITLE = 40, 90  # characters of a line in a legend, and over a panel


@dataclass(frozen=True)
class AttainmentLine:
    """Shares of requests, from 0 to 1, over rates or scales of the objectives."""

    label: str
    x: Sequence[float]
    shares: Sequence[float]


@dataclass(frozen=True)
class MemoryPanel:
    """Blocks of a pool of `num_blocks` in each form, by its label, over time."""

    title: str
    time_s: Sequence[float]
    num_blocks_by_label: Mapping[str, Sequence[float]]
    num_blocks: int


def attainment(lines: Sequence[AttainmentLine], xlabel: str, levels: Sequence[float], logarithmic: bool) -> bytes:
    """Attainment of each policy, with dotted lines at the levels; PNG."""
    figure, (axes,) = panels(1, 1, 6.0, 4.0)
    for level in levels:
        axes.axhline(level, color="0.5", linestyle=":", linewidth=1)
    for i, line in enumerate(lines):
        axes.plot(
            line.x,
            line.shares,
            label="\n".join(text_lines.wrapped(line.label, LABEL)),
            color=f"C{i % 10}",
            marker="osv^D"[i % 5],
            markersize=4,
        )
    axes.set(xlabel=xlabel, ylabel="share of requests that attain", ylim=(-0.03, 1.03))
    if logarithmic:
        axes.set_xscale("log")
    axes.legend(fontsize=8)
    return png(figure)


def memory_over_time(memories: Sequence[MemoryPanel]) -> bytes:
    """Blocks in each form, one on the other, a panel a policy; PNG."""
    figure, axes_of = panels(len(memories), 1, 7.0, 2.2)
    for axes, memory in zip(axes_of, memories, strict=True):
        held = memory.num_blocks_by_label
        axes.stackplot(memory.time_s, *held.values(), labels=tuple(held), step="post")
        axes.axhline(memory.num_blocks, color="black", linestyle=":", linewidth=1, label="pool")
        axes.set_title("\n".join(text_lines.wrapped(memory.title, TITLE)), fontsize=9)
        axes.set(ylabel="blocks", ylim=(0, 1.08 * memory.num_blocks))
        axes.set_xlim(0, max((end for other in memories for end in other.time_s), default=1.0))
    axes_of[-1].set_xlabel("seconds since the start of the run")
    most = max(range(len(memories)), key=lambda i: len(memories[i].num_blocks_by_label))
    axes_of[most].legend(fontsize=8, loc="upper right")
    return png(figure)


def rebuilding(num_blocks: Sequence[int], extra_s: Sequence[float], rho_s_per_block: float, r_squared: float) -> bytes:
    """Seconds that hidden requests add to an iteration over their blocks m, and the line through the origin; PNG."""
    figure, (axes,) = panels(1, 1, 5.0, 4.0)
    last = max(num_blocks)
    label = f"rho = {short_duration(rho_s_per_block)} a block, $R^2$ = {r_squared:.3f}"
    axes.plot(num_blocks, [value * 1e3 for value in extra_s], "o", color="C0", label="measured")
    axes.plot([0, last], [0, rho_s_per_block * last * 1e3], color="C1", label=label)
    axes.set(xlabel="blocks m of the hidden requests", ylabel="added to the iteration, ms")
    axes.legend(fontsize=8)
    return png(figure)
