"""The Lagrangian dual of the LP relaxation, piecewise linear, and the walk along its edges to the minimum."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from operator import mul

import numpy as np

from aptsched.knapsack.kinks import Kinks, beyond, crossing, joined, next_kinks
from aptsched.knapsack.options import Options
from aptsched.support.checks import Floats, Ints

TILTS = (0.0, 1e-9, 1e-7)  # by which gains are perturbed, should ties keep the walk from its end
TOLERANCE = 1e-11  # of a fraction, or of a limit
MAX_STEPS = 200  # more than ten times what any instance has needed
FLAT = 1e-12  # of the largest slope or component: less is rounding
Row = list[float]  # of D numbers: for so few, lists are faster than arrays
Price = tuple[float, float, float]


@dataclass(frozen=True)
class FixedPrice:
    """A row of the basis: this resource keeps its multiplier, which is 0 except at the start of a walk."""

    resource: int


@dataclass(frozen=True)
class Tie:
    """A row of the basis: two options of a request are equally good, so that the LP may mix them."""

    request: int
    option: int


@dataclass(eq=False)
class Vertex:
    """A position of the walk: D multipliers, and as many rows that fix them.

    Attributes
    ----------
    price : list of float, [D]
        Multipliers, in seconds per unit.
    at : int array, [n]
        A best option of each request (0 = the base); the request's ties compare other options with it.
    rows : list of FixedPrice or Tie, [D]
    matrix, level : list, [D, D] and [D]
        matrix @ price = level. The row of a fixed price is a unit vector, its level the multiplier; the row of a tie
        has what its option takes more, and its level what that gains more.
    columns : list, [D, D]
        The columns of the matrix's inverse.
    """

    price: Row
    at: Ints
    rows: list[FixedPrice | Tie]
    matrix: list[Row]
    level: Row
    columns: list[Row]

    @property
    def tied(self) -> list[int]:
        """The requests that may be fractional."""
        return [row.request for row in self.rows if isinstance(row, Tie)]

    def need(self, q: int, amount: float) -> float:
        """By how much a row's amount violates its condition: >= 0, or = 0 where it fixes a price above 0."""
        return abs(amount) if self.level[q] > 0 and isinstance(self.rows[q], FixedPrice) else -amount


def minimum(options: Options, price: Floats | None = None) -> tuple[Ints, Row, list[int]]:
    """An optimal basic solution of the LP with these options, rounded down, [n], by a walk from the multipliers given.

    Returned with it are its multipliers, [D], and the requests, at most D, that may be fractional.
    """
    start: Row = [0.0] * len(options.limits) if price is None else price.tolist()
    for tilt in TILTS:
        if tilt:
            factor = 1.0 + tilt * np.linspace(0.0, 1.0, options.gain.shape[1]) ** 2
            options = replace(options, gain=options.gain * factor)
        dual = Dual(options)
        vertex = dual.start(start)
        if dual.to_minimum(vertex):
            return dual.rounded_down(vertex), vertex.price, vertex.tied
    return np.zeros_like(vertex.at), vertex.price, []


def priced(options: Options, multipliers: Row) -> Price:
    """The multipliers of blocks, tokens and sequences, given those of the resources that the options have."""
    of = dict(zip(options.resources.tolist(), multipliers, strict=True))
    return of.get(0, 0.0), of.get(1, 0.0), of.get(2, 0.0)


class Dual:
    """D(price) = price . limits + sum_i max_f (gain[f, i] - price . take[f, i]), f = 0 being the base.

    Convex and piecewise linear; its minimum is the optimum of the LP relaxation. At a vertex, D ties or multipliers
    held fix the prices, and complementary slackness gives the amounts in which tied options are mixed and the slacks.
    Where one of these is negative, letting go of its row and moving along the edge that the other rows leave lowers
    the bound. The minimum on an edge is found at once, across all kinks on the way: along it the problem is a knapsack,
    and its split is the next vertex. (The dual simplex method, with bound flipping and a basis of D rows.)
    """

    def __init__(self, options: Options) -> None:
        self.options, self.gain = options, options.gain
        self.limits: Row = options.limits.tolist()
        self.largest: Row = options.take.max(axis=(1, 2), initial=1.0).tolist()

    def start(self, price: Row) -> Vertex:
        """The vertex where these multipliers are all fixed, and every request has its best option at them."""
        size, reduced = len(price), self.gain - self.options.cost(np.array(price))
        at = np.zeros(self.gain.shape[1], np.int64)
        for option in range(1, len(reduced)):
            np.putmask(at, reduced[option] > np.maximum.reduce(reduced[:option]), option)
        units = [[float(row == column) for column in range(size)] for row in range(size)]
        return Vertex(price, at, [FixedPrice(resource) for resource in range(size)], units, [*price], inverse(units))

    def to_minimum(self, vertex: Vertex) -> bool:
        """Walks to the minimum; False where ties keep the walk from it."""
        try:
            return any(not self.step(vertex) for _ in range(MAX_STEPS))
        except ZeroDivisionError:  # ties that do not determine the multipliers
            return False

    def step(self, vertex: Vertex) -> bool:
        """Moves along the steepest edge; False where the vertex is the minimum."""
        used: Row = self.options.used(vertex.at).tolist()
        left = [limit - some for limit, some in zip(self.limits, used, strict=True)]
        while True:
            amount = [product_sum(left, column) for column in vertex.columns]
            above = _mixed_beyond(vertex, amount)
            if above is None:
                break
            left = [some - more for some, more in zip(left, vertex.matrix[above], strict=True)]
            self._rebase(vertex, above)
        steepest, leaving = 0.0, -1
        for q, row in enumerate(vertex.rows):
            tolerance = TOLERANCE * (1 + self.limits[row.resource] if isinstance(row, FixedPrice) else 1)
            need = vertex.need(q, amount[q])
            if need > tolerance:
                width = sum((limit + 1) * abs(rate) for limit, rate in zip(self.limits, vertex.columns[q], strict=True))
                if need > steepest * width:
                    steepest, leaving = need / width, q
        if leaving < 0:
            return False
        edge = vertex.columns[leaving]
        self._move(vertex, leaving, edge if amount[leaving] < 0 else [-rate for rate in edge], abs(amount[leaving]))
        return True

    def rounded_down(self, vertex: Vertex) -> Ints:
        """The options of a vertex, [n], fractional requests in the lightest of theirs."""
        option = vertex.at.copy()
        for row in vertex.rows:
            if isinstance(row, Tie):
                i, now = row.request, int(option[row.request])
                if max(self.options.more(row.option, now, i)) <= 0:
                    option[i] = row.option
        return option

    def _rebase(self, vertex: Vertex, leader: int) -> None:
        """Makes the option of row `leader` the one that its request's ties are compared with."""
        tie = vertex.rows[leader]
        assert isinstance(tie, Tie)
        before, vertex.at[tie.request] = int(vertex.at[tie.request]), tie.option
        for q, row in enumerate(vertex.rows):
            if isinstance(row, Tie) and row.request == tie.request:
                self._enter(vertex, q, Tie(tie.request, before if q == leader else row.option))
        vertex.columns = inverse(vertex.matrix)

    def _enter(self, vertex: Vertex, q: int, row: FixedPrice | Tie) -> None:
        """Puts a row into the basis."""
        vertex.rows[q] = row
        if isinstance(row, FixedPrice):
            vertex.matrix[q] = [float(resource == row.resource) for resource in range(len(self.limits))]
            vertex.level[q] = 0.0
            return
        i, now = row.request, int(vertex.at[row.request])
        vertex.matrix[q] = self.options.more(row.option, now, i)
        vertex.level[q] = float(self.gain[row.option, i] - self.gain[now, i])

    def _move(self, vertex: Vertex, leaving: int, direction: Row, need: float) -> None:
        """Moves to the minimum on the edge; `need` is how fast the bound falls at its start."""
        cost, slope = self.options.cost(np.array([vertex.price, direction]))  # [k + 1, n] each
        reduced = self.gain - cost
        sizes = [abs(rate) * most for rate, most in zip(direction, self.largest, strict=True)]
        flat = FLAT * max(sizes)
        kinks = next_kinks(reduced, slope, vertex.at, self.options.first, flat)
        staying = [row for q, row in enumerate(vertex.rows) if q != leaving]
        lowered = {r: -rate for r, rate in enumerate(direction) if rate < 0 and sizes[r] > flat}
        end, entering = _end_of_edge(vertex, staying, lowered, kinks)
        passed, first = crossing(kinks, need, end)
        seen = passed if first is None else np.concatenate([passed, [first]])
        while len(slope) > 2 and len(seen):
            last = end if first is None else float(kinks.distance[first])
            more = beyond(reduced, slope, kinks, seen, flat, last)
            if more is None:
                break
            kinks = joined(kinks.at((kinks.distance <= last).nonzero()[0]), more)
            passed, first = crossing(kinks, need, end)
            seen = np.arange(len(kinks.request) - len(more.request), len(kinks.request))
        if first is not None:
            entering = Tie(int(kinks.request[first]), int(kinks.option[first]))
        vertex.at[kinks.request[passed]] = kinks.option[passed]  # of several kinks of a request the last one counts
        assert entering is not None, "an edge without an end would make the bound unbounded"
        self._enter(vertex, leaving, entering)
        vertex.columns = inverse(vertex.matrix)
        vertex.price = [max(product_sum(row, vertex.level), 0.0) for row in zip(*vertex.columns, strict=True)]


def product_sum(some: Iterable[float], others: Iterable[float]) -> float:
    """The sum of products."""
    return sum(map(mul, some, others), 0.0)


def inverse(matrix: list[Row]) -> list[Row]:
    """The columns of the inverse of at most 3 rows of whole numbers, each entry correctly rounded; by cofactors."""
    size = len(matrix)
    rows = [[*map(int, row), *(0,) * (3 - size)] for row in matrix]
    rows += [[int(row == column) for column in range(3)] for row in range(size, 3)]
    (a, b, c), (d, e, f), (g, h, i) = rows
    cofactors = (
        (e * i - f * h, f * g - d * i, d * h - e * g),
        (c * h - b * i, a * i - c * g, b * g - a * h),
        (b * f - c * e, c * d - a * f, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[0][1] + c * cofactors[0][2]
    return [[entry / determinant for entry in row[:size]] for row in cofactors[:size]]


def _mixed_beyond(vertex: Vertex, amount: Row) -> int | None:
    """The row with the largest amount of a request whose amounts exceed 1 in all."""
    ties = [(q, row.request) for q, row in enumerate(vertex.rows) if isinstance(row, Tie)]
    for _, request in ties:
        same = [q for q, other in ties if other == request]
        if sum(amount[q] for q in same) > 1 + TOLERANCE:
            return max(same, key=lambda q: amount[q])
    return None


def _end_of_edge(
    vertex: Vertex, staying: list[FixedPrice | Tie], lowered: dict[int, float], kinks: Kinks
) -> tuple[float, FixedPrice | Tie | None]:
    """How far the edge goes, and the row that ends it: a multiplier reaches 0, or a tied request a third option.

    `lowered` has the resources whose multipliers fall, and how fast. The kinks of tied requests are taken out of
    `kinks`, for they cannot be passed.
    """
    end: float = np.inf
    entering: FixedPrice | Tie | None = None
    held = {row.resource for row in staying if isinstance(row, FixedPrice)}
    for resource, rate in lowered.items():
        if resource not in held and vertex.price[resource] < rate * end:
            end, entering = vertex.price[resource] / rate, FixedPrice(resource)
    for row in staying:
        if isinstance(row, Tie):
            if kinks.distance[row.request] < end:
                end, entering = float(kinks.distance[row.request]), Tie(row.request, int(kinks.option[row.request]))
            kinks.distance[row.request] = np.inf
    return end, entering
