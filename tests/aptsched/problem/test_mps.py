"""Instances as MPS, solved by other programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import highspy
import pulp
import pytest

from aptsched import BatchProblem
from aptsched.problem import instance
from brute_force import enumerate_all
from solvers.program.packages import package
from strategies import sweep_problem

LARGEST = 1e9  # HiGHS takes costs from 1e20 for infinity


def by_highs(path: Path) -> float | None:
    """Minus the optimum of the file, by HiGHS; None where it is infeasible."""
    highs = highspy.Highs()
    highs.silent()
    highs.setOptionValue("mip_rel_gap", 0.0)
    highs.setOptionValue("mip_abs_gap", 0.0)
    assert highs.readModel(str(path)) == highspy.HighsStatus.kOk
    highs.run()
    if highs.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
        return None
    assert highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return -float(highs.getInfo().objective_function_value)


def by_scip(path: Path) -> float | None:
    """The same, by OR-Tools' reader of MPS, then SCIP."""
    model_builder = package("ortools.linear_solver.python.model_builder")
    model = model_builder.Model()
    assert model.import_from_mps_file(str(path))
    solver = model_builder.Solver("SCIP")
    status = solver.solve(model)
    if status == model_builder.SolveStatus.INFEASIBLE:
        return None
    assert status == model_builder.SolveStatus.OPTIMAL
    return -float(solver.objective_value)


def by_cbc(path: Path) -> float | None:
    """The same, by CBC itself."""
    program = pulp.PULP_CBC_CMD().path
    command = [program, str(path), "-ratio", "0", "-allow", "0", "-branch", "-solution", str(path.with_suffix(".sol"))]
    subprocess.run(command, check=True, capture_output=True)
    first = path.with_suffix(".sol").read_text().splitlines()[0]
    return None if "infeasible" in first.lower() else -float(first.rsplit(maxsplit=1)[1])


def by_pulp(path: Path) -> float | None:
    """The same, by PuLP's own reader of MPS, then CBC."""
    _, model = pulp.LpProblem.fromMPS(str(path), sense=pulp.LpMinimize)
    status = model.solve(pulp.PULP_CBC_CMD(msg=False, gapRel=0.0, gapAbs=0.0))
    return None if pulp.LpStatus[status] == "Infeasible" else -(pulp.value(model.objective) or 0.0)


@pytest.mark.parametrize(
    ("solve", "indices"),
    [(by_highs, range(200)), (by_scip, range(200)), (by_cbc, range(25)), (by_pulp, range(25, 50))],
)
def test_the_optimum_of_the_file_is_that_of_the_problem(tmp_path: Path, solve: object, indices: range) -> None:
    """Against brute force, infeasible problems included."""
    assert callable(solve)
    for index in indices:
        problem = sweep_problem(index)
        if problem.values.max() > LARGEST:
            continue
        instance.write_mps(problem, tmp_path / "problem.mps")
        best = enumerate_all(problem).optimum
        found = solve(tmp_path / "problem.mps")
        assert (found is None) == (best is None), index
        if best is not None:
            assert found == pytest.approx(float(best), rel=1e-6, abs=1e-6), index


@pytest.mark.parametrize("required", [False, True])
def test_where_nothing_fits_the_file_is_solved_all_the_same(tmp_path: Path, required: bool) -> None:
    """At 0, or infeasible if a request is required."""
    problem = BatchProblem([[1.0]], [[2]], 1, required=[required])
    instance.write_mps(problem, tmp_path / "problem.mps")
    for solve in (by_highs, by_scip, by_cbc, by_pulp):
        found = solve(tmp_path / "problem.mps")
        assert found is None if required else found == 0


def test_the_file_says_what_the_problem_says(tmp_path: Path) -> None:
    """Forms that cannot fit alone are left out, required requests are equations, floats have all their digits."""
    problem = BatchProblem(
        values=[[0.1, 1 / 3], [2.0, 1e-300]],
        weights=[[9, 1], [0, 2]],
        capacity=3,
        num_tokens=[4, 0],
        max_tokens=5,
        required=[False, True],
    )
    instance.write_mps(problem, tmp_path / "problem.mps")
    assert (tmp_path / "problem.mps").read_text().splitlines()[1:] == [
        "ROWS",
        " N negated_value",
        " L blocks",
        " L tokens",
        " L request0",
        " E request1",
        "COLUMNS",
        " MARKER 'MARKER' 'INTORG'",
        " x0_2 negated_value -0.3333333333333333",
        " x0_2 blocks 1",
        " x0_2 tokens 4",
        " x0_2 request0 1",
        " x1_1 negated_value -2.0",
        " x1_1 request1 1",
        " x1_2 negated_value -1e-300",
        " x1_2 blocks 2",
        " x1_2 request1 1",
        " MARKER 'MARKER' 'INTEND'",
        "RHS",
        " RHS blocks 3",
        " RHS tokens 5",
        " RHS request0 1",
        " RHS request1 1",
        "BOUNDS",
        " UP BND x0_2 1",
        " UP BND x1_1 1",
        " UP BND x1_2 1",
        "ENDATA",
    ]
