"""OR-Tools' knapsack solvers, on whole values, weights and a capacity."""

from __future__ import annotations

from benchmarks.peers.protocol import Answer, Fields, fastest, serve


def load(job: Fields) -> tuple[str, Answer]:
    """The solver of the job: "branch-and-bound" or "dynamic-programming"."""
    from importlib.metadata import version

    from ortools.algorithms.python import knapsack_solver

    kind = {
        "branch-and-bound": knapsack_solver.SolverType.KNAPSACK_MULTIDIMENSION_BRANCH_AND_BOUND_SOLVER,
        "dynamic-programming": knapsack_solver.SolverType.KNAPSACK_DYNAMIC_PROGRAMMING_SOLVER,
    }[job["solver"]]

    def solved(question: Fields) -> Fields:
        """The fastest of several calls, from the numbers to the items that it packs."""

        def packed() -> tuple[list[int], bool]:
            solver = knapsack_solver.KnapsackSolver(kind, "")
            solver.set_time_limit(question["time_limit_s"])
            solver.init(question["values"], [question["weights"]], [question["capacity"]])
            solver.solve()
            items = [item for item in range(len(question["values"])) if solver.best_solution_contains(item)]
            return items, solver.is_solution_optimal()

        seconds, (items, is_optimal) = fastest(packed, question["calls"])
        return {"seconds": seconds, "packed": items, "says_optimal": is_optimal}

    return version("ortools"), solved


if __name__ == "__main__":
    serve("ortools", load)
