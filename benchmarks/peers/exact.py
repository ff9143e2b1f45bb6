"""Exact methods on the same instances: time, and whether what they call optimal is.

Snapshots of a backlogged queue of 1,600 ShareGPT-like requests: in KV form alone (a 0-1 knapsack, which OR-Tools'
knapsack solvers take too), in both forms with memory alone, with a token budget and a limit of sequences too, and with
so little memory that all three have a price.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from aptsched import BatchProblem
from aptsched.problem import instance
from benchmarks.families import Setting
from benchmarks.peers.peer import Adapter, Peer
from benchmarks.peers.protocol import Fields
from benchmarks.tables import Row

NUM_REQUESTS = 1600
MEMORY = Setting("memory alone", NUM_REQUESTS, 0.25, 1)
BOTH_SIDES = Setting("both side limits", NUM_REQUESTS, 0.25, 1, max_tokens=8192, max_seqs=192)
ALL_SCARCE = Setting("all limits scarce", NUM_REQUESTS, 0.03, 1, max_tokens=8192, max_seqs=192)
ZERO_ONE = "KV form alone"
OURS = ("core", "greedy", "core, plain", "greedy, plain")
PLAIN = {"NUMBA_DISABLE_JIT": "1"}
GENERAL = {"cpsat": "ortools", "mathopt-scip": "ortools", "mathopt-highs": "ortools"}
KNAPSACK = ("branch-and-bound", "dynamic-programming")
VALUE_BITS = 50  # the sum of all whole values is below 2**50, so that 64-bit integers hold any
NUM_CALLS = 7  # of ours on an instance; the fastest counts
SAME = 1e-9  # objectives closer than this share are the same: values in whole units are off by less


def families(num_instances: int, seed: int) -> dict[str, list[BatchProblem]]:
    """The instances by family; those in KV form alone are the first ones, without their hidden form."""
    found = {
        setting.name: list(replace(setting, num_snapshots=num_instances).problems(seed))
        for setting in (MEMORY, BOTH_SIDES, ALL_SCARCE)
    }
    memory = found[MEMORY.name]
    return {
        ZERO_ONE: [BatchProblem(each.values[:, :1], each.weights[:, :1], each.capacity) for each in memory],
        **found,
    }


def whole_values(problem: BatchProblem) -> list[int]:
    """Values in units of a power of 2, so small that all of them together stay below 2**VALUE_BITS."""
    values = problem.values[:, 0]
    exponent = VALUE_BITS - 1 - math.frexp(float(values.sum()))[1]
    return [int(value) for value in np.rint(np.ldexp(values, exponent))]


class Exact:
    """The comparison.

    Parameters
    ----------
    pythons : dict of str
        Interpreters: "aptsched" of our methods and of the general solvers, "ortools" of OR-Tools' knapsack solvers.
    num_instances : int
        Of each family.
    rounds : int
        Over everything; the fastest call counts.
    folder : Path
        For the instances.
    time_limit_s : float
        Of one call.

    Attributes
    ----------
    faults : dict of str
        Why a method has no figures.
    """

    def __init__(
        self, pythons: dict[str, str], num_instances: int, rounds: int, folder: Path, time_limit_s: float, seed: int = 0
    ) -> None:
        self.python, self.ortools = pythons["aptsched"], pythons["ortools"]
        self.rounds, self.folder, self.time_limit_s = rounds, folder, time_limit_s
        self.faults: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.problems = families(num_instances, seed)
        self.answers: dict[tuple[str, str, int], Fields] = {}  # of family, method, instance: with the fastest time
        for name, problems in self.problems.items():
            for at, problem in enumerate(problems):
                instance.save(problem, self._path(name, at))

    def _path(self, family: str, at: int) -> Path:
        return self.folder / f"{family.replace(' ', '-')}-{at}.json"

    def adapters(self) -> list[Adapter]:
        """All methods: ours, compiled and plain, OR-Tools' knapsack solvers, general solvers."""
        ours = [
            Adapter(name, self.python, "run_method", {"method": name.partition(",")[0], "package": ""}, environment)
            for name, environment in zip(OURS, ({}, {}, PLAIN, PLAIN), strict=True)
        ]
        knapsack = [Adapter(name, self.ortools, "run_knapsack", {"solver": name}) for name in KNAPSACK]
        general = [
            Adapter(name, self.python, "run_method", {"method": name, "package": package})
            for name, package in GENERAL.items()
        ]
        return ours + knapsack + general

    def measure(self) -> None:
        """All methods in turn on each instance, each in a process of its own."""
        with ExitStack() as running:
            peers = [running.enter_context(Peer(each, self.time_limit_s + 60)) for each in self.adapters()]
            for _ in range(self.rounds):
                for family, problems in self.problems.items():
                    for at in range(len(problems)):
                        for peer in peers:
                            self._ask(peer, family, at)

    def _ask(self, peer: Peer, family: str, at: int) -> None:
        name = peer.adapter.name
        if name in KNAPSACK and family != ZERO_ONE:
            return
        answer = peer.ask(self._question(name, family, at))
        if answer is None:
            self.faults[name] = str(peer.fault)
            return
        self.versions[name] = peer.version
        if "packed" in answer:
            packed = answer.pop("packed")
            answer["objective_s"] = math.fsum(self.problems[family][at].values[packed, 0].tolist())
        known = self.answers.get((family, name, at), answer)
        self.answers[family, name, at] = min(known, answer, key=lambda each: float(each["seconds"]))

    def _question(self, name: str, family: str, at: int) -> Fields:
        limits: Fields = {"time_limit_s": self.time_limit_s, "calls": NUM_CALLS if name in OURS else 1}
        if name not in KNAPSACK:
            return {"instance": str(self._path(family, at)), **limits}
        problem = self.problems[family][at]
        return {
            "values": whole_values(problem),
            "weights": problem.weights[:, 0].tolist(),
            "capacity": problem.capacity,
            **limits,
        }

    def rows(self) -> list[Row]:
        """One for each family and method: our core's time over its own, and what its answers are worth."""
        found = []
        for family, problems in self.problems.items():
            for name in dict.fromkeys(method for of, method, _ in self.answers if of == family):
                both = [
                    at for at in range(len(problems)) if {(family, name, at), (family, "core", at)} <= {*self.answers}
                ]
                if both:
                    found.append(self._row(family, name, both))
        return found

    def _row(self, family: str, name: str, instances: list[int]) -> Row:
        core, other = ([self.answers[family, of, at] for at in instances] for of in ("core", name))
        best = [max(pair[0]["objective_s"], pair[1]["objective_s"]) for pair in zip(core, other, strict=True)]
        short = [1 - answer["objective_s"] / most for answer, most in zip(other, best, strict=True)]
        proved = [answer["says_optimal"] for answer in other]
        return {
            "family": family,
            "method": name,
            "ratio": float(np.median([a["seconds"] / b["seconds"] for a, b in zip(core, other, strict=True)])),
            "ms": 1e3 * float(np.median([answer["seconds"] for answer in other])),
            "proved": f"{sum(proved)} of {len(proved)}",
            "wrong": sum(claimed and below > SAME for claimed, below in zip(proved, short, strict=True)),
            "worst_below": max(short),
        }
