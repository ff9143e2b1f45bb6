"""Loops give the same answer compiled and as they stand, bit for bit, and nothing is compiled before it is used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import aptsched
from aptsched.support.compiled import SLOW, Compiled, compiled, filled, in_plain_python, is_fast

ROOT = Path(aptsched.__file__).parents[1]
ANSWERS = """
from aptsched import greedy
from solvers import core
from strategies import singular_problems, sweep_problem
from references import serving_like, with_side_constraints
problems = [sweep_problem(index) for index in range(300)] + singular_problems()
for seed in range(3):
    problems += [serving_like(300, seed), with_side_constraints(serving_like(90, seed), seed)]
for problem in problems:
    solution = core.solve(problem, max_work=2000)
    print(solution.status, solution.objective_s.hex(), solution.bound_s.hex())
    if solution.selection is not None:
        for selection in (solution.selection, greedy(problem), greedy(problem, fill=False)):
            print(selection.form.tolist(), selection.objective_s.hex(), selection.bound_s.hex(), selection.multipliers)
"""

VERSIONS = """
import sys
from aptsched.support.compiled import Compiled
def versions():
    ours = [vars(module) for name, module in sys.modules.items() if name.startswith(("aptsched", "solvers"))]
    loops = {id(value): value for scope in ours for value in scope.values() if isinstance(value, Compiled)}
    made = [value for value in loops.values() if value.run is not None]
    return {f"{value.__module__}.{value.__name__}": len(value.run.signatures) for value in made}
"""  # of how many kinds of arguments each loop that was called is compiled for


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parents[2] / "support")])
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


@compiled
def doubled(given: Any, written: Any) -> float:
    """Writes twice each entry of a table, [2, n], and returns their sum."""
    total = 0.0
    for row in range(len(given)):
        for i in range(len(given[row])):
            written[row][i] = twice(given[row][i])
            total += written[row][i]
    return total


@compiled
def twice(value: float) -> float:
    """Twice a value."""
    return 2 * value


@compiled
def dot(vectors: Any) -> Any:
    """The product of a pair of vectors, [n]."""
    first, second = vectors
    total = 0 * first[0]
    for i in range(len(first)):
        total += first[i] * second[i]
    return total


def test_arrays_may_come_as_a_tuple() -> None:
    """Of both kinds, read-only or not."""
    first, second = np.array([1.0, 2.0]), np.array([3, 4])
    first.setflags(write=False)
    assert dot((first, second)) == 11.0


def test_in_plain_python_numbers_have_any_size() -> None:
    """Lists in place of arrays: 2**70 squared is no int64, and with 1 more no float."""
    assert in_plain_python(dot)(([2**70, 1], [2**70, 1])) == 2**140 + 1


@pytest.mark.parametrize("writeable", [False, True])
def test_arrays_are_read_and_written(writeable: bool) -> None:
    """Read-only tables too; one such function may call another."""
    given, written = np.arange(6.0).reshape(2, 3), np.zeros((2, 3))
    given.setflags(write=writeable)
    assert doubled(given, written) == 30.0
    assert written.tolist() == [[0.0, 2.0, 4.0], [6.0, 8.0, 10.0]]


@compiled
def squares(n: int) -> Any:
    """The squares of the numbers below n, written to what is made here."""
    written = filled(0, n)
    for i in range(n):
        written[i] = i * i
    return written


def test_what_is_made_inside_is_an_array_where_loops_are_compiled() -> None:
    """And a list of Python's own numbers where they run as they stand, of any size."""
    assert isinstance(squares(4), np.ndarray if is_fast() else list)
    assert list(squares(4)) == in_plain_python(squares)(4) == [0, 1, 4, 9]


def test_a_function_keeps_its_name_and_docstring() -> None:
    """As other decorated ones do."""
    assert isinstance(doubled, Compiled)
    assert doubled.__name__ == "doubled" and "[2, n]" in str(doubled.__doc__)


@pytest.mark.skipif(not is_fast(), reason="numba is not there, so there is one way only")
def test_both_ways_agree_to_the_last_bit() -> None:
    """Selections, objectives, bounds and multipliers of the greedy and the exact method, of every kind of instance."""
    fast, plain = run(ANSWERS), run(ANSWERS, NUMBA_DISABLE_JIT="1")
    assert len(fast.stdout.splitlines()) > 1000
    assert fast.stdout == plain.stdout


def test_numba_is_imported_with_the_first_call_only() -> None:
    """Importing every module that has such functions takes none of its time."""
    code = "import sys, aptsched.policies.aptserve, solvers.core; print('numba' in sys.modules)"
    assert run(code).stdout == "False\n"


@pytest.mark.skipif(not is_fast(), reason="numba is not there, so nothing is compiled")
def test_what_may_be_asked_rarely_is_compiled_after_some_calls() -> None:
    """Here from the third on, unless numba is loaded anyway."""
    code = (
        "import sys, numpy\nfrom aptsched.problem.exact_sum import sum_twice\n"
        "from aptsched.support.compiled import Compiled\nloops, later = (Compiled(sum_twice.loops, 2) for _ in 'ab')\n"
        "for _ in range(3): print(*loops(numpy.ones(5)), 'numba' in sys.modules, loops.run is not None)\n"
        "print(*later(numpy.ones(5)), 'numba' in sys.modules, later.run is not None)\n"
    )
    plain, fast = "5.0 0.0 5.0 False False\n", "5.0 0.0 5.0 True True\n"
    assert run(code).stdout == 2 * plain + 2 * fast


def test_a_simulation_in_order_of_arrival_needs_no_numba() -> None:
    """It takes iterations by its policy's rule, but for some."""
    code = (
        "import sys\nfrom engine.study.simulate import simulate\n"
        "simulate(workload='humaneval', num_requests=60, policy=['vllm-v1', 'fcfs', 'sarathi'], jobs=1)\n"
        "print('numba' in sys.modules)\n"
    )
    assert run(code).stdout == "False\n"


@pytest.mark.skipif(not is_fast(), reason="numba is not there, so nothing is compiled")
@pytest.mark.parametrize(
    "warm_up",
    [
        "warm_up(greedy)\nwarm_up(exact_selection)\n",
        "method_runs.warm_up([find_method('greedy'), find_method('core')], sweep_problem(0))\n",
    ],
    ids=["of a policy", "of a study"],
)
def test_once_warm_nothing_is_compiled_any_more(warm_up: str) -> None:
    """Whatever forms, limits and required requests come, and in whatever order a table lies in memory."""
    code = (
        "import numpy\nfrom aptsched import BatchProblem, greedy, InfeasibleError\n"
        "from aptsched.knapsack.warm_up import warm_up\n"
        "from solvers.core import exact_selection\nfrom solvers.methods import find_method\n"
        "from solvers.study import method_runs\nfrom strategies import sweep_problem\n"
        f"{VERSIONS}{warm_up}before = versions()\n"
        "for index in range(200):\n"
        "    p = sweep_problem(index)\n"
        "    other = [numpy.ascontiguousarray(table) for table in (p.values, p.weights)]\n"
        "    rest = (p.capacity, p.num_tokens, p.max_tokens, p.max_seqs, p.required)\n"
        "    for problem in (p, BatchProblem.unchecked(*other, *rest)):\n"
        "        for method in (greedy, exact_selection):\n"
        "            try: method(problem)\n"
        "            except InfeasibleError: pass\n"
        "after = versions()\n"
        "print({name: (before[name], after[name]) for name in after if before[name] != after[name]}, len(before))\n"
    )
    changed, _, num_loops = run(code).stdout.rpartition(" ")
    assert changed == "{}" and int(num_loops) > 20


@pytest.mark.skipif(not is_fast(), reason="numba is not there, so nothing is compiled")
def test_once_a_policy_is_made_no_decision_compiles() -> None:
    """Where requests run, decode, wait, and compete for the blocks."""
    code = (
        "from dataclasses import replace\n"
        "from aptsched.policies.named import load_policy\n"
        "from views import Seen, running, view_of\n"
        "names = ['andes:period=1:pressure=0', 'past-future', 'contract', 'scorpio', 'slos-serve', 'bid-price']\n"
        "names += ['aptserve' + rest for rest in ('', ':forms=kv', ':order=fcfs', ':charge=lifetime', ':as=paper')]\n"
        f"{VERSIONS}policies = [load_policy(name) for name in names]\nbefore = versions()\n"
        "requests = [running(40), running(30), running(90, 3), Seen(20, num_cached=14)]\n"
        "requests += [Seen(50), Seen(7)] * 9\n"
        "requests = [replace(each, slo_ttft_s=99.0, slo_tpot_s=9.0) for each in requests]\n"
        "for num_blocks in (14, 17, 400):\n"
        "    for policy in policies:\n        policy.decide(view_of(requests, num_blocks))\n"
        "after = versions()\n"
        "print([name for name in after if after[name] != before.get(name)], len(after))\n"
    )
    assert run(code).stdout == "[] 19\n"


def test_it_is_said_once_that_deciding_is_slow() -> None:
    """Where numba is missing, by one line, once there are many requests to decide on."""
    code = (
        "import importlib.util as util\nfind = util.find_spec\n"
        "util.find_spec = lambda name, *rest: None if name == 'numba' else find(name, *rest)\n"
        "from aptsched import BatchProblem, greedy\nfrom solvers import core\n"
        "for n in {sizes}:\n    problem = BatchProblem([[1.0]] * n, [[1]] * n, n)\n"
        "    greedy(problem)\n    core.solve(problem)\n"
    )
    assert run(code.format(sizes=[1, 100, 1000])).stderr == ""
    assert run(code.format(sizes=[1001, 2000, 1500])).stderr == f"{SLOW}\n"
