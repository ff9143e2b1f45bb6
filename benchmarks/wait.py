"""WAIT's two workloads by WAIT, Sarathi-Serve and vLLM, beside what its authors published.

    python -m benchmarks.wait [--share 1.0] [--seed 0]

Llama-3-8B on A100-80GB by computed cost, as in the authors' runs in Vidur (arXiv 2504.11320): requests of two types at
1,980 a second, 10,000 of them, for WAIT; requests of one prompt and ten outputs, by the lengths of LMSYS, at 66 a
second, 8,000 of them, for Nested WAIT. All are served to the end; with the first workload all are there within seconds,
so that it measures throughput alone. The others have 128 requests in service at most, as Vidur has where nothing is
said, and once as many as WAIT has. Prints output tokens a second until the last token, the published number, and ours
over it; how many requests were preempted, and their mean latency. Writes wait.json, and never fails on a figure. It
takes about a minute.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aptsched.support.checks import Ints
from aptsched.support.files import write
from aptsched.workload.trace import Trace
from benchmarks.tables import Row, show
from engine.study.simulate import simulate

USUAL, FEW, MANY = 128, 115, 175  # requests in service at most: of Vidur's policies, and of the runs of WAIT
SYSTEMS = {"vLLM": "fcfs", "Sarathi-Serve": "sarathi"}


@dataclass(frozen=True)
class Workload:
    """Types of requests, whose arrivals are Poisson, and what was published of them.

    Attributes
    ----------
    num_requests : int
    types : tuple of (prompt, output, rate)
        In tokens, tokens and requests a second.
    policy : str
        That of the authors for it.
    published : dict of str to float
        Output tokens a second over the run, in the best setting, by system; "WAIT" stands for the authors' policy.
    """

    num_requests: int
    types: tuple[tuple[int, int, float], ...]
    policy: str
    published: dict[str, float]

    def trace(self, share: float, seed: int) -> Trace:
        """The first of its requests: that share of them."""
        rng, count = np.random.default_rng(seed), max(1, round(share * self.num_requests))
        prompt, output, rate = (np.array(column) for column in zip(*self.types, strict=True))
        of: Ints = rng.choice(len(rate), count, p=rate / rate.sum())
        return Trace(np.cumsum(rng.exponential(1 / rate.sum(), count)), prompt[of], output[of])


WORKLOADS = {
    "two types": Workload(
        10_000,
        ((50, 156, 1670.0), (100, 171, 310.0)),
        "wait",
        {"WAIT": 7891.0, "Sarathi-Serve": 7996.0, "vLLM": 8396.0},
    ),
    "LMSYS": Workload(
        8_000,
        tuple((60, 50 * i, rate) for i, rate in enumerate((23.0, 11.0, 8.0, 7.0, 6.0, 4.0, 3.0, 2.0, 1.0, 1.0), 1)),
        "nested-wait",
        {"WAIT": 6710.0, "Sarathi-Serve": 6668.0, "vLLM": 5200.0},
    ),
}


def rows(name: str, share: float = 1.0, seed: int = 0) -> list[Row]:
    """What came of each policy on a workload."""
    workload = WORKLOADS[name]
    trace = workload.trace(share, seed)
    runs = [(system, policy, most) for most in (USUAL, MANY) for system, policy in SYSTEMS.items()]
    runs += [("WAIT", f"{workload.policy}:limit={most}", MANY) for most in (FEW, USUAL, MANY)]
    return [row(trace, policy, most, workload.published[system]) for system, policy, most in runs]


def row(trace: Trace, policy: str, max_seqs: int, published: float) -> Row:
    """What came of one policy."""
    study = simulate(trace=trace, policy=policy, model="llama-3-8b", gpu="a100-80gb", max_seqs=max_seqs)
    records = study.runs[0].records
    rate = sum(each.num_output_tokens for each in records) / max(float(each.token_at_s[-1]) for each in records)
    return {
        "policy": policy,
        "at_once": max_seqs,
        "tokens_a_second": round(rate),
        "published": round(published),
        "ratio": rate / published,
        "preempted": sum(each.num_preemptions for each in records),
        "mean_latency_s": float(np.mean([each.token_at_s[-1] - each.arrived_at_s for each in records])),
    }


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.wait", description="WAIT's workloads by WAIT, Sarathi-Serve and vLLM."
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the requests, the first that arrive")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for wait.json")
    options = parser.parse_args()
    if not 0 < options.share <= 1:
        parser.error(f"--share: {options.share} is not accepted; above 0, up to 1, is")
    found = {name: rows(name, options.share, options.seed) for name in WORKLOADS}
    for name, of in found.items():
        show(name, of)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "wait.json", json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
