"""Our greedy and core, and the general solvers as `aptsched gap` calls them, on an instance in a file."""

from __future__ import annotations

import importlib

from benchmarks.peers.protocol import Answer, Fields, fastest, serve


def load(job: Fields) -> tuple[str, Answer]:
    """The method of the job, once the package that it needs is known to be there."""
    from importlib.metadata import version

    from aptsched.problem import instance
    from solvers.methods import find_method

    if job["package"]:
        importlib.import_module(job["package"])
    method = find_method(job["method"])

    def solved(question: Fields) -> Fields:
        """The fastest of several calls, and its answer."""
        problem, limit_s = instance.load(question["instance"]), question["time_limit_s"]
        seconds, answer = fastest(lambda: method.solve(problem, limit_s), question["calls"])
        return {
            "seconds": seconds,
            "objective_s": answer.objective_s,
            "says_optimal": answer.status.value == "optimal",
        }

    return version(job["package"] or "aptsched"), solved


if __name__ == "__main__":
    serve("ortools", load)
