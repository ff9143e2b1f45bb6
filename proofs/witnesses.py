"""Asks z3 for instances on which the printed claims fail, and whether the greedy can miss half of the optimum.

z3 is given only the conditions of a failure, statement (7) of THEOREMS.md; a test shows that the methods do fail on the
instances found. `half_is_kept` is statement (2) for one or two requests, with real numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations_with_replacement, product
from typing import Any

from aptsched.problem.batch_problem import BatchProblem

LARGEST = 64  # the largest number in a witness
HULLS = ((), (1,), (1, 2))  # the forms on the upper hull of a request of two forms, in order, up to renaming
Rows = list[list[Any]]  # a z3 number for each option of each request; option 0 has 0
Step = tuple[int, int, int]  # an increment: the request, the form that it leads from (0 = not served), and to


def smallest(names: str, conditions: Callable[..., Any]) -> dict[str, int]:
    """Whole numbers of at least 0 that satisfy the conditions, with the largest of them as small as possible.

    Parameters
    ----------
    names : str
        Names of the numbers, separated by spaces.
    conditions : callable
        From z3 integers of these names to z3 formulas.
    """
    import z3  # type: ignore[import-untyped]

    numbers = z3.Ints(names)
    for size in range(1, LARGEST + 1):
        solver = z3.Solver()
        solver.add(*(number >= 0 for number in numbers), *(number <= size for number in numbers))
        solver.add(conditions(*numbers))
        if solver.check() == z3.sat:
            model = solver.model()
            return {str(number): model.eval(number, model_completion=True).as_long() for number in numbers}
    raise AssertionError(f"no such numbers up to {LARGEST}: {names}")


def misfit_fallback() -> BatchProblem:
    """(7a) A request whose hidden form fits and is taken, and whose KV form does not."""
    found = smallest("p m M c", lambda p, m, M, c: [m > M, m <= 2 * M, c > 0, p >= 2 * c * m])
    return BatchProblem.hybrid([found["p"]], [found["m"]], found["M"], found["c"])


def misfit_in_front() -> BatchProblem:
    """(7b) A request that fits in no form, before one that does."""
    found = smallest(
        "p1 m1 p2 m2 M", lambda p1, m1, p2, m2, M: [p1 * m2 > p2 * m1, m1 > 2 * M, m2 <= M, p2 > 0, m2 > 0]
    )
    return BatchProblem.hybrid([found["p1"], found["p2"]], [found["m1"], found["m2"]], found["M"], 0.0)


def half_blocks() -> BatchProblem:
    """(7c) Two hidden forms that fit together in halves of blocks, and not in whole ones."""
    found = smallest(
        "p m1 m2 M", lambda p, m1, m2, M: [m1 + m2 <= 2 * M, half(m1) + half(m2) > M, m1 <= M, m2 <= M, p * m1 * m2 > 0]
    )
    return BatchProblem.hybrid([found["p"]] * 2, [found["m1"], found["m2"]], found["M"], 0.0)


def steps_out_of_order() -> BatchProblem:
    """(7d) A KV step that gains more per whole block than its hidden step, and fits, while the KV form does not."""

    def conditions(p: Any, m: Any, M: Any, c: Any) -> list[Any]:
        steeper = c * m * half(m) > (p - c * m) * (m - half(m))
        return [p >= 2 * c * m, steeper, m - half(m) <= M, m > M, M > 0, c > 0]

    found = smallest("p m M c", conditions)
    return BatchProblem.hybrid([found["p"]], [found["m"]], found["M"], found["c"])


def whole_blocks() -> BatchProblem:
    """(7e) Four equal requests fill the memory; two equal larger ones and one of the four are worth twice as much."""

    def conditions(p1: Any, m1: Any, p2: Any, m2: Any, M: Any) -> list[Any]:
        first = [p1 * m2 > p2 * m1, 4 * half(m1) <= M, M < 4 * half(m1) + half(m2)]
        return [*first, m1 <= M, m2 <= M, m1 > 0, 2 * half(m2) + half(m1) <= M, 2 * p2 + p1 > 2 * 4 * p1]

    found = smallest("p1 m1 p2 m2 M", conditions)
    pending, blocks = [found["p1"]] * 4 + [found["p2"]] * 2, [found["m1"]] * 4 + [found["m2"]] * 2
    return BatchProblem.hybrid(pending, blocks, found["M"], 0.0)


def second_limit() -> BatchProblem:
    """(7f) One sequence: the first by gain per block, the one left out, and one worth more than twice each."""

    def conditions(p1: Any, m1: Any, p2: Any, m2: Any, p3: Any, m3: Any, M: Any) -> list[Any]:
        order = [p1 * m2 > p2 * m1, p2 * m3 > p3 * m2, m1 > 0, m2 > 0, m3 > 0, p2 > 0]
        return [*order, m1 + m2 + m3 <= M, p3 > 2 * p1, p3 > 2 * p2]

    found = smallest("p1 m1 p2 m2 p3 m3 M", conditions)
    rows = [(found[f"p{i}"], found[f"m{i}"]) for i in (1, 2, 3)]
    return BatchProblem([[p] for p, _ in rows], [[m] for _, m in rows], found["M"], max_seqs=1)


def half(number: Any) -> Any:
    """Half of a z3 integer, rounded up: what a hidden form takes in whole blocks."""
    return (number + 1) / 2  # of z3 integers, this is rounded down


def half_is_kept(num_requests: int, fallback: bool = True) -> bool:
    """Statement (2) for two forms and real numbers: whether z3 finds no instance on which the greedy misses half.

    The greedy's course is one of finitely many: it is given by the forms on each request's hull, the order of the
    increments, and how many of them fit. For each course, z3 is asked for values and weights that lead to it, and a
    selection worth more than twice the greedy's; of courses that only differ in the names of forms and requests one is
    asked. Weights are above 0 and at most the memory, which is 1, for misfits are removed before; a form that gains
    nothing stands for an absent one. Without its `fallback` the greedy's answer is the prefix alone.
    """
    import z3

    requests = range(num_requests)
    values = [[z3.RealVal(0), *z3.Reals(f"v{i}1 v{i}2")] for i in requests]
    weights = [[z3.RealVal(0), *z3.Reals(f"w{i}1 w{i}2")] for i in requests]
    known = [z3.And(weight > 0, weight <= 1) for row in weights for weight in row[1:]]
    known.append(z3.Or(*(_is_better(z3, values, weights, forms) for forms in product(range(3), repeat=num_requests))))
    for hulls in combinations_with_replacement(HULLS, num_requests):
        on_hull = [_is_hull(z3, values[i], weights[i], len(hulls[i])) for i in requests]
        for steps in _orders(tuple(tuple((i, form - 1, form) for form in hulls[i]) for i in requests)):
            for taken in range(len(steps) + 1):
                solver = z3.Solver()
                solver.add(*known, *on_hull, *_course(values, weights, steps, taken, fallback))
                if solver.check() != z3.unsat:
                    return False
    return True


def _is_better(z3: Any, values: Rows, weights: Rows, forms: Sequence[int]) -> Any:
    """A formula: the selection fits, and is worth more than 2."""
    worth, weight = (z3.Sum([row[form] for row, form in zip(rows, forms, strict=True)]) for rows in (values, weights))
    return z3.And(weight <= 1, worth > 2)


def _is_hull(z3: Any, value: list[Any], weight: list[Any], size: int) -> Any:
    """A formula: so many forms are on the hull of a request; the first is the steepest, the second is worth more."""
    if size == 0:
        return z3.And(value[1] <= 0, value[2] <= 0)
    steepest = z3.And(value[1] > 0, z3.Or(value[2] <= 0, value[1] * weight[2] >= value[2] * weight[1]))
    return z3.And(steepest, value[2] > value[1] if size == 2 else value[2] <= value[1])


def _orders(left: tuple[tuple[Step, ...], ...]) -> Iterator[list[Step]]:
    """All orders of the increments in which those of a request keep theirs."""
    if not any(left):
        yield []
    for i, steps in enumerate(left):
        if steps:
            yield from ([steps[0], *rest] for rest in _orders((*left[:i], steps[1:], *left[i + 1 :])))


def _course(values: Rows, weights: Rows, steps: Sequence[Step], taken: int, fallback: bool) -> Iterator[Any]:
    """Formulas: the increments come in this order, so many fit, and they and the fallback are worth at most 1."""
    gain = [values[i][to] - values[i][since] for i, since, to in steps]
    more = [weights[i][to] - weights[i][since] for i, since, to in steps]
    for now in range(len(steps) - 1):
        yield gain[now] * more[now + 1] >= gain[now + 1] * more[now]
    yield sum(more[:taken]) <= 1
    yield sum(gain[:taken]) <= 1
    if taken < len(steps):
        yield sum(more[: taken + 1]) > 1
        if fallback:
            yield values[steps[taken][0]][steps[taken][2]] <= 1
