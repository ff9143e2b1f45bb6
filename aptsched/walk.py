"""The LP relaxation under several limits, exactly: a walk along the edges of its Lagrangian dual."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptsched.checks import Floats, Ints
from aptsched.options import Options
from aptsched.order import split
from aptsched.residual import Residual

MAX_STEPS = 200  # more than ten times what any instance has needed
TILTS = (0.0, 1e-9, 1e-7)  # by which gains are perturbed, should ties keep the walk from its end
FEW = 96  # kinks that are looked at first
TOLERANCE = 1e-11  # of a fraction, or of a limit
FLAT = 1e-12  # of the largest slope or component: less is rounding


@dataclass(frozen=True)
class Hold:
    """A row of the basis: this resource has a multiplier of 0."""

    resource: int


@dataclass(frozen=True)
class Tie:
    """A row of the basis: two options of a request are equally good, so that the LP may mix them."""

    request: int
    option: int


@dataclass(eq=False)
class Vertex:
    """Where the walk stands: D multipliers, and as many rows that fix them.

    Attributes
    ----------
    price : float array, [D]
        Multipliers, in seconds per unit.
    at : int array, [n]
        A best option of each request (0 = the base), the one that its ties are relative to.
    rows : list of Hold or Tie, [D]
    matrix, level : float array, [D, D] and [D]
        matrix @ price = level: the unit vector of a resource held and 0, or what the tie's option takes and gains more.
    inverse : float array, [D, D]
        Of the matrix.
    """

    price: Floats
    at: Ints
    rows: list[Hold | Tie]
    matrix: Floats
    level: Floats
    inverse: Floats


def walk(residual: Residual) -> tuple[Ints, tuple[float, float, float]]:
    """An optimal basic solution of the LP relaxation, rounded down, and its multipliers.

    Returns
    -------
    option : int array, [n]
        At most D requests are fractional; they have the lightest of the options mixed. Feasible.
    price : tuple of float
        Multipliers of blocks (per unit), tokens and sequences, in seconds.
    """
    for tilt in TILTS:
        if tilt:
            factor = 1.0 + tilt * np.linspace(0.0, 1.0, residual.gain.shape[1]) ** 2
            residual = replace(residual, gain=residual.gain * factor)
        dual = Dual(residual)
        vertex = dual.start()
        if _to_minimum(dual, vertex):
            option = dual.rounded_down(vertex)
            break
        option = np.zeros_like(vertex.at)
    price = np.zeros(3)
    price[dual.options.resources] = vertex.price
    return option, (float(price[0]), float(price[1]), float(price[2]))


def _to_minimum(dual: Dual, vertex: Vertex) -> bool:
    """Steps to the minimum; False where ties keep the walk from it."""
    try:
        return any(not dual.step(vertex) for _ in range(MAX_STEPS))
    except ZeroDivisionError:  # ties that do not determine the multipliers
        return False


class Dual:
    """D(price) = price . limits + sum_i max_f (gain[f, i] - price . take[f, i]), f = 0 being the base.

    Convex and piecewise linear; its minimum is the optimum of the LP relaxation. At a vertex, D ties or multipliers of
    0 fix the prices, and complementary slackness gives the amounts in which tied options are mixed and the slacks.
    Where one of these is negative, letting go of its row and moving along the edge that the other rows leave lowers
    the bound. The minimum on an edge is found at once, across all kinks on the way: along it the problem is a knapsack,
    and its split is the next vertex. (The dual simplex method, with bound flipping and a basis of D rows.)
    """

    def __init__(self, residual: Residual) -> None:
        self.options = Options(residual, np.flatnonzero(np.isfinite(residual.limits)))
        self.gain, self.limits = self.options.gain, self.options.limits
        self.largest = self.options.take.max(axis=(1, 2), initial=1.0)
        self.everyone = np.arange(self.gain.shape[1])

    def start(self) -> Vertex:
        """All multipliers are 0 and everyone has the most valuable option."""
        size = len(self.limits)
        rows: list[Hold | Tie] = [Hold(resource) for resource in range(size)]
        return Vertex(np.zeros(size), self.gain.argmax(axis=0), rows, np.eye(size), np.zeros(size), np.eye(size))

    def step(self, vertex: Vertex) -> bool:
        """Moves along the steepest edge; False where the vertex is the minimum."""
        left = self.limits - self.options.used(vertex.at)
        while True:
            amount: list[float] = (left @ vertex.inverse).tolist()
            above = _mixed_beyond(vertex, amount)
            if above is None:
                break
            left = left - vertex.matrix[above]
            self._rebase(vertex, above)
        steepest, leaving = 0.0, -1
        width = ((self.limits + 1) @ np.abs(vertex.inverse)).tolist()
        for q, row in enumerate(vertex.rows):
            tolerance = TOLERANCE * (1 + self.limits[row.resource] if isinstance(row, Hold) else 1)
            if amount[q] < -tolerance and -amount[q] / width[q] > steepest:
                steepest, leaving = -amount[q] / width[q], q
        if leaving < 0:
            return False
        self._move(vertex, leaving, vertex.inverse[:, leaving], -amount[leaving])
        return True

    def rounded_down(self, vertex: Vertex) -> Ints:
        """The options of a vertex, [n], fractional requests in the lightest of theirs."""
        option = vertex.at.copy()
        for row in vertex.rows:
            if isinstance(row, Tie):
                i, now = row.request, int(option[row.request])
                if (self.options.more(row.option, now, i) <= 0).all():
                    option[i] = row.option
        return option

    def _rebase(self, vertex: Vertex, leader: int) -> None:
        """Makes the leader's option the one that its request's ties are relative to."""
        tie = vertex.rows[leader]
        assert isinstance(tie, Tie)
        before, vertex.at[tie.request] = int(vertex.at[tie.request]), tie.option
        for q, row in enumerate(vertex.rows):
            if isinstance(row, Tie) and row.request == tie.request:
                self._enter(vertex, q, Tie(tie.request, before if q == leader else row.option))
        vertex.inverse = inverse(vertex.matrix)

    def _enter(self, vertex: Vertex, q: int, row: Hold | Tie) -> None:
        """Puts a row into the basis."""
        vertex.rows[q] = row
        if isinstance(row, Hold):
            vertex.matrix[q], vertex.level[q] = 0.0, 0.0
            vertex.matrix[q, row.resource] = 1.0
            return
        i, now = row.request, int(vertex.at[row.request])
        vertex.matrix[q] = self.options.more(row.option, now, i)
        vertex.level[q] = self.gain[row.option, i] - self.gain[now, i]

    def _move(self, vertex: Vertex, leaving: int, direction: Floats, need: float) -> None:
        """Moves to the minimum on the edge; `need` is how fast the bound falls at its start."""
        cost, slope = self.options.cost(np.stack([vertex.price, direction]))  # [k + 1, n] each
        reduced = self.gain - cost
        sizes = np.abs(direction) * self.largest
        flat = FLAT * float(sizes.max())
        kinks = next_kinks(reduced, slope, vertex.at, self.everyone, flat)
        staying = [row for q, row in enumerate(vertex.rows) if q != leaving]
        lowered = {r: -rate for r, rate in enumerate(direction.tolist()) if rate < 0 and sizes[r] > flat}
        end, entering = _end_of_edge(vertex, staying, lowered, kinks)
        passed, first = crossing(kinks, need, end)
        seen = passed if first is None else np.concatenate([passed, [first]])
        while len(seen):
            last = end if first is None else float(kinks.distance[first])
            beyond = _beyond(reduced, slope, kinks, seen, flat, last)
            if beyond is None or not len(beyond.request):
                break
            kinks = joined(kinks.at(np.flatnonzero(kinks.distance <= last)), beyond)
            passed, first = crossing(kinks, need, end)
            seen = np.arange(len(kinks.request) - len(beyond.request), len(kinks.request))
        if first is not None:
            entering = Tie(int(kinks.request[first]), int(kinks.option[first]))
        passed.sort()  # so that a request's kinks stand in their order
        vertex.at[kinks.request[passed]] = kinks.option[passed]
        assert entering is not None, "an edge without an end would make the bound unbounded"
        self._enter(vertex, leaving, entering)
        vertex.inverse = inverse(vertex.matrix)
        vertex.price = np.maximum(vertex.inverse @ vertex.level, 0.0)


def inverse(matrix: Floats) -> Floats:
    """Of at most 3 rows of whole numbers, each entry correctly rounded; by cofactors, in integers."""
    size = len(matrix)
    rows = [[*map(int, row), *(0,) * (3 - size)] for row in matrix.tolist()]
    rows += [[int(row == column) for column in range(3)] for row in range(size, 3)]
    (a, b, c), (d, e, f), (g, h, i) = rows
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    adjugate = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    return np.array([[entry / determinant for entry in row[:size]] for row in adjugate[:size]])


def _mixed_beyond(vertex: Vertex, amount: list[float]) -> int | None:
    """The row with the largest amount of a request whose amounts exceed 1 in all."""
    ties = [(q, row.request) for q, row in enumerate(vertex.rows) if isinstance(row, Tie)]
    for _, request in ties:
        same = [q for q, other in ties if other == request]
        if sum(amount[q] for q in same) > 1 + TOLERANCE:
            return max(same, key=lambda q: amount[q])
    return None


def _end_of_edge(
    vertex: Vertex, staying: list[Hold | Tie], lowered: dict[int, float], kinks: Kinks
) -> tuple[float, Hold | Tie | None]:
    """Where the edge ends at the latest: a multiplier gets to 0, or a request that stays tied to a third option.

    `lowered` has the resources whose multipliers fall, and how fast. The latter kinks are taken out of `kinks`, for
    they cannot be passed.
    """
    end: float = np.inf
    entering: Hold | Tie | None = None
    held = {row.resource for row in staying if isinstance(row, Hold)}
    for resource, rate in lowered.items():
        if resource not in held and vertex.price[resource] < rate * end:
            end, entering = float(vertex.price[resource]) / rate, Hold(resource)
    for row in staying:
        if isinstance(row, Tie):
            if kinks.distance[row.request] < end:
                end, entering = float(kinks.distance[row.request]), Tie(row.request, int(kinks.option[row.request]))
            kinks.distance[row.request] = np.inf
    return end, entering


@dataclass(eq=False)
class Kinks:
    """Where along an edge a request's best option changes, [m].

    Attributes
    ----------
    distance : float array
        From the edge's start; inf where nothing changes.
    drop : float array
        By how much the bound falls less steeply from there on.
    request, option : int array
        Which request changes, and to which option.
    """

    distance: Floats
    drop: Floats
    request: Ints
    option: Ints

    def at(self, positions: Ints) -> Kinks:
        """The kinks at the given positions."""
        return Kinks(self.distance[positions], self.drop[positions], self.request[positions], self.option[positions])


def next_kinks(reduced: Floats, slope: Floats, option: Ints, request: Ints, flat: float) -> Kinks:
    """The next change of each request from its option to one of lower slope, the nearest of several.

    `reduced` and `slope` have a column for each of the requests, [k + 1, m]; slopes that differ by `flat` are equal.
    """
    width = len(request)
    column = np.arange(width)
    now = option * width + column
    falls = slope.ravel()[now] - slope
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(falls > flat, (reduced.ravel()[now] - reduced) / falls, np.inf)
    least, nearest = distance[0], np.zeros(width, np.int64)
    for other in range(1, len(slope)):
        np.copyto(nearest, other, where=distance[other] < least)
        least = np.minimum(least, distance[other])
    drop = falls.ravel()[nearest * width + column]
    return Kinks(np.maximum(least, 0.0), drop, request, nearest)


def joined(some: Kinks, more: Kinks) -> Kinks:
    """Both, one after the other."""
    pairs = ((getattr(some, name), getattr(more, name)) for name in ("distance", "drop", "request", "option"))
    return Kinks(*(np.concatenate(pair) for pair in pairs))


def _beyond(reduced: Floats, slope: Floats, kinks: Kinks, seen: Ints, flat: float, last: float) -> Kinks | None:
    """The kinks that follow on those seen in their requests, before the last one to be passed."""
    request, option = kinks.request[seen], kinks.option[seen]
    goes_on = slope.min(axis=0)[request] < slope[option, request] - flat
    if not goes_on.any():
        return None
    request, option = request[goes_on], option[goes_on]
    beyond = next_kinks(reduced[:, request], slope[:, request], option, request, flat)
    beyond.distance = np.maximum(beyond.distance, kinks.distance[seen[goes_on]])
    return beyond.at(np.flatnonzero(beyond.distance < last))


def crossing(kinks: Kinks, need: float, end: float) -> tuple[Ints, int | None]:
    """Positions of the kinks passed before `end`, and of the one at which the drops reach `need`, if any does."""
    if len(kinks.distance) > FEW and need < FEW * float(kinks.drop.max()):
        near = np.argpartition(kinks.distance, FEW)[:FEW]
        near = near[np.argsort(kinks.distance[near], kind="stable")]
        ahead = int(np.searchsorted(kinks.distance[near], end, side="left"))
        passed = int(np.searchsorted(np.cumsum(kinks.drop[near[:ahead]]), need, side="left"))
        if passed < ahead:
            return near[:passed], int(near[passed])
        if ahead < FEW:
            return near[:ahead], None
    before = kinks.distance < end
    found = split(-kinks.distance, np.where(before, kinks.drop, 0.0), before, need)
    return np.flatnonzero(found.taken), int(found.next_ones[0]) if len(found.next_ones) else None
