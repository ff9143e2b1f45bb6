"""Families of snapshots that decisions are timed on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from aptsched import BatchProblem
from aptsched.workload import generate, snapshots

LIMITED_WORK = 30_000  # of the core where both side constraints bind, or values follow weights


@dataclasses.dataclass(frozen=True)
class Setting:
    """A family of snapshots."""

    name: str
    num_requests: int
    load: float
    num_snapshots: int
    max_tokens: int | None = None
    max_seqs: int | None = None
    correlated: bool = False
    max_work: int | None = None

    def problems(self, seed: int) -> Iterator[BatchProblem]:
        """The snapshots, the same for the same seed."""
        rng = np.random.default_rng([seed, self.num_requests])
        trace = generate("sharegpt", 20_000, rng)
        lengths = dataclasses.replace(trace, arrived_at_s=None)
        for problem in snapshots(
            lengths,
            self.num_snapshots,
            self.num_requests,
            self.load,
            rng,
            max_tokens=self.max_tokens,
            max_seqs=self.max_seqs,
        ):
            yield strongly_correlated(problem) if self.correlated else problem


def strongly_correlated(problem: BatchProblem) -> BatchProblem:
    """The problem with values of weight plus a constant, in seconds: hard for methods that rely on a small core."""
    weights = problem.weights
    return dataclasses.replace(problem, values=np.asarray(weights + 0.1 * float(weights.max()), np.float64))


def settings(num_snapshots: int) -> list[Setting]:
    """The families that are measured."""
    few = max(1, num_snapshots // 10)
    memory = [Setting(f"n=1600, {load:.0%}", 1600, load, num_snapshots) for load in (0.1, 0.25, 0.5)]
    large = [Setting(f"n=10000, {load:.0%}", 10_000, load, few) for load in (0.1, 0.25)]
    sides = [
        Setting(f"n={n}, T={tokens}, B={seqs}", n, 0.25, few, tokens, seqs, max_work=LIMITED_WORK)
        for n, tokens, seqs in ((400, 2048, 48), (800, 4096, 96), (1600, 8192, 192), (1600, 16_384, 256))
    ]
    correlated = [Setting("n=1600, value = weight + c", 1600, 0.25, few, correlated=True, max_work=LIMITED_WORK)]
    return memory + large + sides + correlated
