"""A solver of the user's own: what it answers is true once it is taken."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import BatchProblem, InfeasibleError, InputError, Multipliers, Selection
from aptsched.problem.certificate import certify
from aptsched.problem.instance import save
from brute_force import check_certificate, enumerate_all, exact_objective
from commands import call, says
from solvers.own import checked
from solvers.solution import Solution, Status
from strategies import sweep_problem

EXAMPLE = Path(__file__).parents[3] / "examples" / "own_solver.py"
GAP = ["gap", "--workload", "sharegpt", "--num-requests", "30", "--instances", "2"]
# By hand: hidden and KV for requests 0 and 1 are worth 8 with 7 of 8 blocks; at 1 s a block the bound is 9.
PROBLEM = BatchProblem(values=[[5.0, 4.0], [4.0, 1.0], [3.0, 2.0]], weights=[[6, 3], [4, 2], [4, 2]], capacity=8)
BEST = certify(PROBLEM, np.array([2, 1, 0]), Multipliers(per_block_s=1.0))
NUMBERS = st.one_of(st.floats(), st.integers(-(10**400), 10**400), st.sampled_from([None, True, "1", 1j]))
MULTIPLIERS = st.one_of(
    st.builds(Multipliers, NUMBERS, NUMBERS, NUMBERS),
    st.builds(Multipliers, *[st.sampled_from([0.0, 0.5, 1.0, 3])] * 3),
    st.none(),
)
FORMS = st.one_of(
    st.lists(st.integers(-1, 3), max_size=6),
    st.lists(st.floats(), max_size=6),
    st.sampled_from([None, "form", [[0]], 10**30]),
)


def changed(selection: Selection, **fields: Any) -> Selection:
    return Selection(**{**vars(selection), **fields})


def test_the_solver_of_the_examples_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In at most 20 lines, beside the built-in methods; all that it answered is verified afterwards."""
    assert EXAMPLE.read_text().count("\n") <= 20
    out = tmp_path / "out"
    assert call(*GAP, "--methods", "greedy", "core", f"{EXAMPLE}:solve", "--out", str(out)) == 0
    assert says(capsys.readouterr().out, f"{EXAMPLE}:solve")
    records = json.loads((out / "results.json").read_text())["records"]
    assert [record["guarantee"] for record in records] == ["1/2", "exact", "none"] * 2
    assert all(0 <= record["optimum_gap"] < 1 and record["num_calls"] == 3 for record in records)
    assert call("verify", str(out)) == 0
    assert call("snapshot", "--workload", "sharegpt", "--out", str(tmp_path / "queue.json")) == 0
    assert call("solve", str(tmp_path / "queue.json"), "--method", f"{EXAMPLE}:solve") == 0
    assert says(capsys.readouterr().out, "own_solver.py:solve")


def test_objective_and_certificate_are_computed_anew() -> None:
    """A sum of floats may be off in its last digits; a higher bound than the multipliers prove is no harm."""
    answer = Solution(Status.OPTIMAL, changed(BEST, objective_s=8.0 + 1e-12, bound_s=100.0, num_blocks=5), 8, 8, 0.0)
    found = checked(PROBLEM, answer, 0.5)
    assert found.selection is not None and (found.objective_s, found.selection.num_blocks) == (8.0, 7)
    assert found.selection.bound_s == BEST.bound_s and (found.bound_s, found.seconds) == (8.0, 0.5)
    plain = checked(PROBLEM, BEST, 0.5)
    assert (plain.status, plain.bound_s) == (Status.FEASIBLE, BEST.bound_s)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "None is not accepted; a Solution or a Selection is"),
        ([2, 1, 0], "a list is not accepted"),
        (Solution(Status.FEASIBLE, None, 0.0, 0.0, 0.0), "selection: None is not accepted"),
        (Solution(Status.INFEASIBLE, None, -math.inf, -math.inf, 0.0), "status: infeasible is not accepted"),
        (changed(BEST, form=np.array([1, 1, 0])), "form: it uses 10 of a capacity of 8"),
        (changed(BEST, form=np.array([2, 1])), r"form: shape \[2\] does not match; \[3\] is"),
        (changed(BEST, form=np.array([2, 3, 0])), "form: 3 is not accepted; 0 to 2 are"),
        (changed(BEST, form=np.array([2, -1, 0])), r"form\[1\]: -1 is not accepted"),
        (changed(BEST, objective_s=8.1), "objective_s: 8.1 is not accepted; that of the selection, 8.0, is"),
        (changed(BEST, objective_s=math.nan), "objective_s: nan is not accepted"),
        (changed(BEST, bound_s=8.5), "selection.bound_s: 8.5 is not accepted; what the multipliers prove"),
        (changed(BEST, multipliers=Multipliers(-1.0)), "multipliers.per_block_s: -1.0 is not accepted"),
        (changed(BEST, multipliers=Multipliers(math.inf)), "multipliers.per_block_s: inf is not accepted"),
        (changed(BEST, multipliers=Multipliers(1.0, 1.0)), "per_token_s: 1.0 is not accepted; 0 is, as nothing"),
        (changed(BEST, multipliers=(1.0, 0.0, 0.0)), "multipliers: a tuple is not accepted"),
        (Solution(Status.OPTIMAL, BEST, 8.0, 7.0, 0.0), "bound_s: 7.0 is not accepted; at least the objective"),
    ],
)
def test_what_does_not_hold_is_refused(answer: object, message: str) -> None:
    """Field, value and what is accepted."""
    with pytest.raises(InputError, match=message):
        checked(PROBLEM, answer, 0.0)


def test_required_requests_are_looked_after() -> None:
    """One left out is refused, and so is any answer but infeasible where they do not fit."""
    required = BatchProblem([[1.0], [2.0]], [[1], [1]], 1, required=[True, False])
    with pytest.raises(InputError, match="form: request 0 is required and left out"):
        checked(required, certify(required, np.array([0, 1]), Multipliers(2.0)), 0.0)
    short = BatchProblem([[1.0]], [[3]], 1, required=[True])
    with pytest.raises(InputError, match="status: feasible is not accepted; infeasible is"):
        checked(short, changed(BEST, form=np.array([1])), 0.0)
    answer = Solution(Status.INFEASIBLE, None, 0.0, 0.0, 0.0, InfeasibleError(9, 9, 9))
    overload = checked(short, answer, 0.0).overload
    assert overload is not None and (overload.num_blocks, overload.num_tokens, overload.num_seqs) == (2, 0, 0)


def test_what_it_prints_is_no_part_of_our_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It goes to stderr, and stdout is one document; the error that `greedy` raises is an answer."""
    (tmp_path / "own.py").write_text(
        "from aptsched import greedy\ndef solve(p, limit):\n    print('hi')\n    return greedy(p)\n"
    )
    short = BatchProblem([[1.0]], [[3]], 1, required=[True])
    save(short, tmp_path / "short.json")
    assert call("solve", str(tmp_path / "short.json"), "--method", f"{tmp_path / 'own.py'}:solve", "--json") == 1
    out, err = capsys.readouterr()
    record = json.loads(out)
    assert (record["status"], record["overload"]) == ("infeasible", [2, 0, 0]) and err.startswith("hi\n")


@given(
    st.integers(0, 10**6), FORMS, MULTIPLIERS, NUMBERS, NUMBERS, st.sampled_from([*Status, "optimal"]), st.booleans()
)
def test_whatever_a_solver_answers_is_refused_or_true(
    number: int, form: Any, multipliers: Any, objective_s: Any, bound_s: Any, status: Any, exact: bool
) -> None:
    """Against brute force and rational arithmetic, on small instances of every kind."""
    problem = sweep_problem(number)
    selection = Selection(form, objective_s, 0, 0, multipliers, bound_s)
    if exact and isinstance(form, list) and isinstance(multipliers, Multipliers):
        numbers = np.nan_to_num(np.array(form or [0], float)).clip(0, problem.num_forms).astype(int)
        form = np.resize(numbers, problem.num_requests)
        objective_s = float(exact_objective(problem, form))
        selection = Selection(form, objective_s, 0, 0, multipliers, math.nextafter(1e300, 0))
    try:
        found = checked(problem, Solution(status, selection, objective_s, bound_s, 0.0), 0.0)
    except InputError:
        return
    best = enumerate_all(problem).optimum
    assert (found.status is Status.INFEASIBLE) == (best is None)
    if best is not None:
        assert found.selection is not None and found.objective_s <= float(best)
        check_certificate(problem, found.selection.multipliers, found.selection.bound_s)


@pytest.mark.parametrize(
    ("code", "name", "parts"),
    [
        ("", "solve", ["no 'solve' that can be called", "nothing"]),
        ("def other(): pass", "solve", ["no 'solve'", "other there can be"]),
        ("def solve(", "solve", ["cannot be loaded: SyntaxError"]),
        ("raise SystemExit(3)", "solve", ["cannot be loaded: SystemExit: 3"]),
        ("def solve(problem): return 1", "solve", ["raised TypeError", "1 positional argument"]),
        ("def solve(problem, limit):\n    return 1 / 0", "solve", ["raised ZeroDivisionError at", "line 2"]),
        ("import sys\ndef solve(problem, limit):\n    sys.exit(0)", "solve", ["raised SystemExit at", "line 3"]),
        ("class E(BaseException): pass\ndef solve(problem, limit):\n    raise E('it')", "solve", ["raised E at", "it"]),
        ("def solve(problem, limit): return 7", "solve", ["answered wrongly: 7 is not accepted; a Solution or"]),
        ("solve = 7", "solve", ["no 'solve' that can be called"]),
    ],
)
def test_a_solver_that_fails_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str, name: str, parts: list[str]
) -> None:
    """With exit code 2, by `gap` and by `solve`."""
    (tmp_path / "own.py").write_text(code)
    assert call("snapshot", "--workload", "sharegpt", "--out", str(tmp_path / "queue.json")) == 0
    for command in ([*GAP, "--methods"], ["solve", str(tmp_path / "queue.json"), "--method"]):
        capsys.readouterr()
        assert call(*command, f"{tmp_path / 'own.py'}:{name}") == 2
        out, err = capsys.readouterr()
        assert out == "" and err.startswith("error: methods: ") and err.count("\n") == 1
        assert all(part in err for part in parts), err


def test_what_a_solver_does_with_the_first_four_requests_is_said_to_be_of_those(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers of the message are not those of the user's own instance."""
    (tmp_path / "own.py").write_text(
        "import numpy as np\nfrom aptsched import Multipliers\nfrom aptsched.problem.certificate import certify\n"
        "def solve(problem, limit): return certify(problem, np.ones(problem.num_requests, int), Multipliers())\n"
    )
    assert call(*GAP, "--methods", f"{tmp_path / 'own.py'}:solve") == 2
    assert "a capacity of 7; no more than that is accepted (on four requests" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where its name is longer than a system has it."""
    for path in ("missing.py", "n" * 5000 + ".py"):
        assert call(*GAP, "--methods", f"{path}:solve") == 2
        assert "path.py:Name of" in capsys.readouterr().err


def test_a_solver_that_changes_the_directory_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths given count from where the command began."""
    monkeypatch.chdir(tmp_path)
    code = "import os\nfrom aptsched.knapsack.greedy import greedy\n"
    Path("own.py").write_text(f"{code}def solve(problem, limit):\n    os.chdir(os.sep)\n    return greedy(problem)\n")
    assert call(*GAP, "--methods", "own.py:solve", "--out", "study") == 0
    monkeypatch.chdir(tmp_path)
    assert call("verify", "study") == 0
