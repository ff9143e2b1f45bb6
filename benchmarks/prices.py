"""What `bid-price` charges over time, and how those fare whom it turns away.

    python -m benchmarks.prices [--rates 2 15.6 1.05] [--out DIR]

On ShareGPT, HumanEval and LongBench (the cells of benchmarks/opponents with steady arrivals, first seed) `bid-price`
serves so many requests a second. Prints how many were rejected, and which share of these was told within its TTFT; of
those admitted the share that waited for over 60 s for its first token, and that stalled for over 10 s; and the mean and
largest certified gap of its problems. Draws prices.png of the first: the price, the work that was accepted
and is not done, the blocks in use, and those of who pauses. Writes prices.json too, and never fails on a figure. It
takes a minute.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aptsched.metrics.latencies import latencies
from aptsched.policies.bid_price import BidPrice
from aptsched.policies.outlook import Outlook
from aptsched.policies.service_value import ServiceValue
from aptsched.report.figure import panels, png
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import Plan, Policy, says_holds
from aptsched.scheduling.record import Outcome
from aptsched.scheduling.view import View
from aptsched.support import files
from aptsched.support.checks import Floats
from benchmarks.opponents.cell import JITTER, SEED, STEADY, Cell
from benchmarks.tables import Row, show
from engine.capacities.options import CapacityOptions
from engine.study.served_run import ServedRun
from engine.study.serving import NamedPolicy, serve
from engine.study.simulation import cost_of, simulated_server

WAIT_S, STALL_S = 60.0, 10.0
WARMUP_S, END_S = 60.0, 660.0  # of arrivals, in the setting `sustained`
FIGURES = (
    "price of a second\n(1 / worth)",
    "accepted, not done\n(seconds)",
    "pool in use\n(blocks)",
    "pausing\n(blocks)",
)


@dataclass(frozen=True)
class SeenValue(ServiceValue):
    """The values as they are; of each decision a row: its time, and the `FIGURES`."""

    rows: list[tuple[float, ...]] = field(default_factory=list)

    def seconds(self, view: View, of: Outlook, slack_s: Floats, ends: Floats, worth_s: float) -> Floats:
        """The values, once the row is noted."""
        backlog_s = float(of.cost_s[~of.new].sum())
        anew = view.num_tokens[of.waiting & ~of.new]
        used, pausing = view.num_held.sum(), view.num_swapped.sum() + view.cache.blocks(anew, KV).sum()
        self.rows.append((view.now_s, 1 / worth_s, backlog_s, int(used), int(pausing)))
        return super().seconds(view, of, slack_s, ends, worth_s)


@dataclass(eq=False)
class SeenBidPrice(BidPrice):
    """`bid-price` as it is; of each decision and each rejection something is noted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._value = self.seen = SeenValue(self.pause_s)
        self.told = list[tuple[float, bool]]()  # by rejection: when the request arrived, and whether it is in time

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan; requests that it rejects are noted."""
        plan = super().decide(view)
        arrived_s = view.arrived_at_s[plan.reject]
        in_time = view.now_s - arrived_s <= view.slo_ttft_s[plan.reject]
        self.told += zip(arrived_s.tolist(), in_time.tolist(), strict=True)
        return plan


def served(cell: Cell, rate_per_s: float, policy: Policy, end_s: float = END_S) -> ServedRun:
    """A run of the first seed at a cell, as the study of opponents makes it at this rate."""
    of_all: dict[str, Any] = {
        "setting": "sustained",
        "seed": SEED,
        "jitter": JITTER,
        "duration": end_s,
        "warmup": WARMUP_S,
    }
    options = CapacityOptions(**cell.of, **of_all, policy=["bid-price"])
    ((setting, objectives),) = options.groups()
    server = simulated_server(options.setup, options.limits)
    (arrivals,) = options.arrivals(setting, objectives, 1)
    return serve(NamedPolicy("bid-price", lambda: policy), arrivals.at(rate_per_s, cost_of(server)), server)


def row(cell: Cell, rate_per_s: float, policy: SeenBidPrice, run: ServedRun) -> Row:
    """What came of a run. Shares of those that count: who arrived after the warm-up."""
    told = [in_time for arrived_s, in_time in policy.told if arrived_s >= WARMUP_S]
    admitted = [record for record in run.records if record.outcome is not Outcome.REJECTED]
    each = latencies(admitted)
    return {
        "lengths": cell.of["workload"],
        "req/s": rate_per_s,
        "attained": run.metrics.attained,
        "rejected": run.metrics.rejected,
        "told in time": float(np.mean(told)) if told else 1.0,
        f"waited over {WAIT_S:g}s": float(np.mean(~(each.ttft_s <= WAIT_S))),
        f"stalled over {STALL_S:g}s": float(np.mean(each.max_tbt_s > STALL_S)),
        "gap mean": run.usage.gap_mean,
        "gap worst": run.usage.gap_worst,
    }


def picture(rows: Sequence[tuple[float, ...]], first_s: float, end_s: float) -> bytes:
    """A panel for each of the figures over the time that counts; PNG."""
    seen = np.array([each for each in rows if first_s <= each[0] <= end_s])
    figure, axes_of = panels(len(FIGURES), 1, 7.0, 1.3)
    for column, (axes, label) in enumerate(zip(axes_of, FIGURES, strict=True), 1):
        axes.plot(seen[:, 0], seen[:, column], linewidth=0.7)
        axes.set_ylabel(label, fontsize=7)
        axes.tick_params(labelsize=7)
        axes.set_ylim(bottom=0)
    axes_of[-1].set_xlabel("seconds", fontsize=7)
    return png(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves, prints and draws."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prices", description="What bid-price charges.")
    parser.add_argument("--rates", type=float, nargs=len(STEADY), default=(2.0, 15.6, 1.05), help="requests a second")
    parser.add_argument("--out", type=Path, default=Path("bench-out/prices"))
    options = parser.parse_args(arguments)
    out, found = files.make_directory(options.out), list[Row]()
    for cell, rate_per_s in zip(STEADY, options.rates, strict=True):
        policy = SeenBidPrice()
        found.append(row(cell, rate_per_s, policy, served(cell, rate_per_s, policy)))
        if cell is STEADY[0]:
            files.write(out / "prices.png", picture(policy.seen.rows, WARMUP_S, END_S))
    show("bid-price, chat objectives, sustained", found)
    files.write(out / "prices.json", json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
