"""A server at ten times its capacity: how many it has at once, and what it admits beside the same in `simulate`.

    python -m benchmarks.beyond_capacity [--policy NAME ...] [--times 10] [--max-requests 8] [--rounds 3]

The model is calibrated (`aptsched calibrate`), and the capacity is what the computed clock serves of requests that are
all there, --max-requests at once. For each policy `aptsched serve` is started with that limit, and `aptsched bench`
sends it requests at so many times the capacity. The computed clock then serves the same requests as they came, with the
same policy, pool, times and limit. Shares and percentiles are of those that are not refused for want of a place. Both
have --max-requests all the time; the ratio of the rates at which these end is `speed`, how fast the machine is now
against when it was calibrated, and arrivals and objectives on the computed clock are in that unit. Prints medians over
the rounds, writes beyond_capacity.json, and never fails on a figure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

from aptsched.metrics.service import summarise
from aptsched.policies.named import load_policy
from aptsched.policies.reordered import also_rejecting, placed
from aptsched.policies.wrapped import plan_within
from aptsched.report.document import machine
from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.view import View, derived
from aptsched.support.files import write
from benchmarks.tables import Row, show
from engine import simulate
from engine.remote.bench import bench
from engine.remote.bench_options import BenchOptions
from engine.server.uvicorn_server import bound_socket
from engine.study.served_run import ServedRun

FULL = "the server is full"  # in the reason of who is refused for want of a place
LOOKS = 2  # on the computed clock: the first says how fast the machine is
AT_ONCE = re.compile(r"^vllm:num_requests_(?:running|waiting)\S* (\S+)$", re.MULTILINE)
BETWEEN_S = 0.05  # looks at the server's figures
LENGTHS = ("workload", "max_prompt_tokens", "max_output_tokens", "seed")
OBJECTIVES = ("slo_ttft", "slo_tpot")
Arrival = tuple[float, int, int]  # s, tokens of the prompt, tokens of the output


@dataclass(eq=False)
class Limited:
    """A policy on a computed clock, where no more than so many requests are there at once, as in the server.

    Who arrives while an iteration runs meets those that were there when it began. Others are rejected, as `FULL`.
    """

    policy: Policy
    max_requests: int
    newest: int = -1
    num_met: int = 0  # that were there after the last decision

    def decide(self, view: View) -> Plan:
        """The policy's plan for those that found a place."""
        new = (view.request_id > self.newest).nonzero()[0]
        refused = new[max(0, self.max_requests - self.num_met) :]
        rows = np.delete(np.arange(len(view.num_tokens)), refused)
        self.newest, self.num_met = int(view.request_id.max()), len(rows)
        plan = placed(plan_within(self.policy, derived(view, rows)), rows)
        return also_rejecting(plan, refused, [FULL] * len(refused))


@dataclass(frozen=True)
class Case:
    """A policy on a server, and the calibration of its model."""

    policy: str
    calibration: Path
    options: argparse.Namespace

    def given(self, *names: str) -> Row:
        """Options by name, as keywords."""
        return {name: getattr(self.options, name) for name in names}

    def computed(self, policy: object, **given: Any) -> ServedRun:
        """Requests on the computed clock, with the times and the pool of the server."""
        setup = {"model": self.options.config, "cost": self.calibration, "swap_space": "0", "certificates": "none"}
        return simulate(policy={self.policy: policy}, **setup, **self.given("num_blocks"), **given).runs[0]

    def limited(self, offered: list[Arrival], speed: float) -> ServedRun:
        """Requests as they came to the server, with its policy and limit, on the clock of a machine of this speed."""
        policy = Limited(load_policy(self.policy), self.options.max_requests)
        objectives = {name: value * speed for name, value in self.given(*OBJECTIVES).items()}
        return self.computed(policy, trace=[(at_s * speed, *of) for at_s, *of in offered], **objectives)

    def capacity_per_s(self) -> float:
        """Requests a second that end where all are there at once."""
        given = {"num_requests": 32 * self.options.max_requests, "rate": 1e6, "max_seqs": self.options.max_requests}
        served = self.computed(load_policy(self.policy), **given, **self.given(*LENGTHS)).metrics
        return served.num_finished / served.span_s

    def live(self, rate_per_s: float) -> tuple[list[Arrival], ServedRun, int]:
        """Requests to a server, what came of them, and the most that were in it at once."""
        with server(self) as url:
            given = self.given("num_requests", *LENGTHS, *OBJECTIVES)
            options = BenchOptions(url=url, rate=rate_per_s, **given)
            with most_at_once(url) as most:
                study = bench(options, lambda num_runs: contextlib.nullcontext(lambda *told: None), None, False)
        (sent,), (run,) = study.replays, study.runs
        lengths = zip(sent.num_prompt_tokens.tolist(), sent.num_output_tokens.tolist(), strict=True)
        offered = [(record.arrived_at_s, *of) for record, of in zip(run.records, lengths, strict=True)]
        return offered, run, max(most)


@contextlib.contextmanager
def server(case: Case) -> Iterator[str]:
    """The URL of `aptsched serve`, once it accepts requests."""
    with bound_socket("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    limits = ["--num-blocks", case.options.num_blocks, "--max-requests", case.options.max_requests, "--swap-space", 0]
    given = ["--policy", case.policy, "--port", port, "--calibration", case.calibration, *limits]
    process = subprocess.Popen([*command("serve", case.options), *map(str, given)], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "serving" in line:
                break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate()


def command(name: str, options: argparse.Namespace) -> list[str]:
    """A command of aptsched on the model and its threads."""
    return [sys.executable, "-m", "aptsched", name, "--model", options.model, "--threads", str(options.threads)]


@contextlib.contextmanager
def most_at_once(url: str) -> Iterator[list[int]]:
    """How many requests the server has, looked at in a thread while it lasts."""
    over, found = threading.Event(), [0]

    def look() -> None:
        while not over.wait(BETWEEN_S):
            with urlopen(f"{url}/metrics") as answer:
                found.append(round(sum(map(float, AT_ONCE.findall(answer.read().decode())))))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def admitted(run: ServedRun) -> list[RequestRecord]:
    """Those that were not refused for want of a place."""
    return [record for record in run.records if FULL not in record.reason]


def measured(case: Case, rate_per_s: float) -> Row:
    """One round of a policy: live, and what was admitted on the computed clock."""
    offered, run, at_once = case.live(rate_per_s)
    of_run = admitted(run)
    live, speed = summarise(of_run), 1.0
    for _ in range(LOOKS):
        computed = summarise(admitted(case.limited(offered, speed)))
        speed = (live.num_finished / live.span_s) / (computed.num_finished / computed.span_s)
    return {
        "refused_%": 100 * (1 - len(of_run) / len(offered)),
        "admitted": len(of_run),
        "at_once": at_once,
        "without_end": sum(record.outcome is Outcome.UNFINISHED for record in of_run),
        "speed": speed,
        "attained_live": live.attained,
        "attained_computed": computed.attained,
        "TTFT_live": live.ttft.p90_s,
        "TTFT_computed": computed.ttft.p90_s / speed,
        "TBT_live": live.tbt.p90_s,
        "TBT_computed": computed.tbt.p90_s / speed,
    }


def row(policy: str, rounds: list[Row]) -> Row:
    """Medians over the rounds; of requests without an end, and of those at once, the most."""
    medians = {name: float(np.median([each[name] for each in rounds])) for name in rounds[0]}
    most = {name: max(each[name] for each in rounds) for name in ("at_once", "without_end")}
    return {"policy": policy, **medians, **most}


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.beyond_capacity",
        description="A server beyond its capacity, beside the computed clock.",
        epilog="example: python -m benchmarks.beyond_capacity --policy sarathi --rounds 1 --num-requests 500",
    )
    parser.add_argument("--policy", nargs="+", default=["fcfs", "vllm-v1", "sarathi", "aptserve"])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--config", default="smollm2-135m", help="of the model, as `aptsched simulate` takes it")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--times", type=float, default=10.0, help="the capacity")
    parser.add_argument("--max-requests", type=int, default=8, help="in the server at once")
    parser.add_argument("--num-blocks", type=int, default=40, help="of the cache")
    parser.add_argument("--num-requests", type=int, default=1000, help="sent in each round")
    parser.add_argument("--workload", default="humaneval")
    parser.add_argument("--max-prompt-tokens", type=int, default=64, help="longer prompts are clipped")
    parser.add_argument("--max-output-tokens", type=int, default=16, help="longer outputs are clipped")
    parser.add_argument("--slo-ttft", type=float, default=4.0)
    parser.add_argument("--slo-tpot", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3, help="of each policy, in turn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for beyond_capacity.json")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = parsed()
    rounds: dict[str, list[Row]] = {policy: [] for policy in options.policy}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*command("calibrate", options), "--out", folder], check=True, stdout=subprocess.DEVNULL)
        cases = [Case(policy, Path(folder) / "calibration.json", options) for policy in options.policy]
        rate_per_s = options.times * cases[0].capacity_per_s()
        print(f"{rate_per_s:.3g} requests a second, {options.times:g} times the capacity", file=sys.stderr)
        for _ in range(options.rounds):
            for case in cases:
                began_s = time.monotonic()
                rounds[case.policy].append(found := measured(case, rate_per_s))
                shares = " ".join(f"{name} {value:.3g}" for name, value in found.items())
                print(f"{case.policy}: {shares}, in {time.monotonic() - began_s:.0f} s", file=sys.stderr)
    rows = [row(*each) for each in rounds.items()]
    show(f"{rate_per_s:.3g} requests a second, at most {options.max_requests} at once", rows)
    document = {"machine": machine(), "options": {name: str(value) for name, value in vars(options).items()}}
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "beyond_capacity.json", json.dumps({**document, "rate_per_s": rate_per_s, "rounds": rounds}))


if __name__ == "__main__":
    main()
