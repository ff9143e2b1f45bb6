"""The integer program of a batch-composition problem, as columns, for the general solvers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.selection import Multipliers
from aptsched.support.checks import Bools, Floats, Ints

MAX_VALUE = 2**17  # the largest objective coefficient given to a solver that works in floats, in power-of-two units
MAX_COEFFICIENT = 2**20  # the same for a shared limit in the linear relaxation
FEASIBILITY_TOLERANCE = 1e-6  # the loosest tolerance of those solvers (rows, integrality, reduced costs)


@dataclass(frozen=True, eq=False)
class Formulation:
    """Maximise value x, subject to resources x <= limits, at most one column of each request, x binary.

    The columns are the forms that can be part of an optimum: those that fit beside the required requests, have a value
    above 0 (or belong to a required request) and are not dominated by another form of the same request, one of at most
    its weight and at least its value (of equal ones the first stays). Limits that no choice of columns can break are
    left out.

    Attributes
    ----------
    problem : BatchProblem
    request : int array, [num_columns]
        The request of each column, in increasing order.
    form : int array, [num_columns]
        Its form, from 1.
    value : float array, [num_columns]
        In seconds.
    required : bool array, [num_columns]
        Whether the request of each column must be served.
    resources : int array, [num_limits, num_columns]
        Use of each shared resource, in whole units of that resource.
    limits : int array, [num_limits]
    units : tuple of int, [num_limits]
        Blocks, tokens or sequences in a unit: the greatest common divisor of the row.
    kinds : tuple of int, [num_limits]
        0 = blocks, 1 = tokens, 2 = sequences.
    """

    problem: BatchProblem
    request: Ints
    form: Ints
    value: Floats
    required: Bools
    resources: Ints
    limits: Ints
    units: tuple[int, ...]
    kinds: tuple[int, ...]

    @property
    def num_columns(self) -> int:
        """Number of columns."""
        return self.request.size

    def choices(self) -> tuple[Ints, Bools]:
        """The row "at most one of a request" of each column, [num_columns], and which rows are equations, [rows].

        A request with one column that is not required needs no row: -1.
        """
        _, group, size = np.unique(self.request, return_inverse=True, return_counts=True)
        needed = (size[group] > 1) | self.required
        _, row = np.unique(self.request[needed], return_inverse=True)
        rows = np.full(self.num_columns, -1)
        rows[needed] = row
        equation = np.zeros(int(rows.max(initial=-1)) + 1, np.bool_)
        equation[rows[self.required]] = True
        return rows, equation

    def groups(self) -> list[tuple[list[int], bool]]:
        """The columns of each row of `choices`, and whether exactly one of them must be taken."""
        rows, equation = self.choices()
        members: list[list[int]] = [[] for _ in equation]
        for column, row in enumerate(rows.tolist()):
            if row >= 0:
                members[row].append(column)
        return list(zip(members, equation.tolist(), strict=True))

    def scaled_values(self) -> tuple[Floats, int]:
        """The values times 2**exponent, the largest of them between MAX_VALUE / 2 and MAX_VALUE, and that exponent.

        So a solver's absolute gaps and cut-offs (`tolerances`) are at most 2e-10 of the largest value.
        """
        largest = float(np.abs(self.value).max(initial=0.0))
        exponent = math.frexp(MAX_VALUE)[1] - 1 - math.frexp(largest)[1] if largest else 0
        return np.ldexp(self.value, exponent), exponent

    def limit_exponents(self) -> Ints:
        """Exponents of the powers of two that scale the shared limits for the linear relaxation, [num_limits]; <= 0."""
        largest = self.resources.max(axis=1, initial=1).astype(np.float64)
        exponents: Ints = np.minimum(0, math.frexp(MAX_COEFFICIENT)[1] - np.frexp(largest)[1])
        return exponents

    def scaled_limits(self) -> tuple[Floats, Floats]:
        """Resources, [num_limits, num_columns], and limits, [num_limits], times 2**limit_exponents."""
        exponents = self.limit_exponents()
        return np.ldexp(self.resources.astype(float), exponents[:, None]), np.ldexp(
            self.limits.astype(float), exponents
        )

    def is_feasible(self, chosen: Bools) -> bool:
        """Whether these columns, [num_columns], are a selection; in whole numbers."""
        served = np.bincount(self.request[chosen], minlength=self.problem.num_requests)
        complete = self.problem.required is None or bool((served[self.problem.required] == 1).all())
        fits = bool((self.resources[:, chosen].sum(axis=1) <= self.limits).all())
        return complete and fits and int(served.max()) <= 1

    def forms(self, chosen: Bools) -> Ints:
        """The form of each request, [n], 0 = not served, of feasible columns."""
        form = np.zeros(self.problem.num_requests, np.int64)
        form[self.request[chosen]] = self.form[chosen]
        return form

    def is_better(self, some: Bools, others: Bools) -> bool:
        """Whether some columns are worth more than others; exact, for a sum that is rounded once has the right sign."""
        return math.fsum([*self.value[some].tolist(), *(-self.value[others]).tolist()]) > 0

    def most_valuable(self) -> Bools:
        """The best column of each request, [num_columns], which is optimal where there are no limits."""
        best = np.full(self.problem.num_requests, -np.inf)
        np.maximum.at(best, self.request, self.value)
        chosen: Bools = self.value == best[self.request]  # equal columns were removed
        return chosen

    def paid_s(self, multipliers: Multipliers) -> float:
        """The price of all limits at these multipliers, in seconds."""
        prices = (multipliers.per_block_s, multipliers.per_token_s, multipliers.per_seq_s)
        each = zip(self.kinds, self.units, self.limits.tolist(), strict=True)
        return sum((prices[kind] * unit * limit for kind, unit, limit in each), 0.0)

    def multipliers(self, duals: npt.NDArray[np.float64]) -> Multipliers:
        """The problem's multipliers, from the duals of `scaled_limits`, [num_limits]; noise below 0 is cut."""
        prices = [0.0, 0.0, 0.0]
        for kind, unit, dual in zip(
            self.kinds, self.units, np.ldexp(duals, self.limit_exponents()).tolist(), strict=True
        ):
            prices[kind] = max(0.0, dual / unit) if math.isfinite(dual) else 0.0
        return Multipliers(*prices)


def formulate(problem: BatchProblem) -> Formulation:
    """The columns of a problem whose required requests fit."""
    kept = offered(problem)
    if problem.required is not None:
        kept &= fits_beside(problem.weights, kept, problem.required, problem.capacity)
        if problem.max_tokens is not None and problem.num_tokens is not None:
            kept &= fits_beside(problem.num_tokens[:, None], kept, problem.required, problem.max_tokens)
        if problem.max_seqs is not None:
            kept &= fits_beside(np.ones((problem.num_requests, 1), np.int64), kept, problem.required, problem.max_seqs)
    request, column = np.nonzero(kept)
    tokens = np.zeros(problem.num_requests, np.int64) if problem.num_tokens is None else problem.num_tokens
    uses = (problem.weights[request, column], tokens[request], np.ones(request.size, np.int64))
    rows, limits, units, kinds = [], [], [], []
    for kind, (use, limit) in enumerate(
        zip(uses, (problem.capacity, problem.max_tokens, problem.max_seqs), strict=True)
    ):
        if limit is None or _most(use, request, problem.num_requests) <= limit:
            continue
        unit = int(np.gcd.reduce(use))
        rows.append(use // unit)
        limits.append(limit // unit)
        units.append(unit)
        kinds.append(kind)
    return Formulation(
        problem=problem,
        request=request,
        form=column + 1,
        value=problem.values[request, column],
        required=np.zeros(request.size, np.bool_) if problem.required is None else problem.required[request],
        resources=np.array(rows, np.int64).reshape(len(rows), request.size),
        limits=np.array(limits, np.int64),
        units=tuple(units),
        kinds=tuple(kinds),
    )


def offered(problem: BatchProblem) -> Bools:
    """The forms that become columns, [n, k]."""
    kept = problem.fits_alone()
    useful = problem.values > 0
    kept &= useful if problem.required is None else useful | problem.required[:, None]
    values, weights = problem.values, problem.weights
    for f in range(problem.num_forms):
        for other in range(problem.num_forms):
            no_worse = (values[:, other] >= values[:, f]) & (weights[:, other] <= weights[:, f])
            better = (values[:, other] > values[:, f]) | (weights[:, other] < weights[:, f])
            if other != f:
                kept[:, f] &= ~(kept[:, other] & no_worse & (better | (other < f)))
    return kept


def fits_beside(use: Ints, kept: Bools, required: Bools, limit: int) -> Bools:
    """Whether each form, [n, k], fits beside the other required requests, each with the lightest of its kept forms."""
    least = np.where(kept, use, np.iinfo(np.int64).max).min(axis=1) * required
    room = min(limit, 2**62) - int(least.sum()) + least
    fits: Bools = use <= room[:, None]
    return fits


def _most(use: Ints, request: Ints, num_requests: int) -> int:
    heaviest = np.zeros(num_requests, np.int64)
    np.maximum.at(heaviest, request, use)
    return int(heaviest.sum())
