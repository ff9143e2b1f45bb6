"""The longest run of increments by falling slope that fits, and what still fits after it."""

from __future__ import annotations

from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled

NUM_BUCKETS = 1024  # 16 octaves of slopes, each in 64 parts; all that is flatter falls into the last
SHIFT = 46  # so many bits of a float say where it lies within a part


@compiled
def take(
    key: Ints, weight: Ints, option: Ints, value: Floats, room: int, refill: bool, num_taken: Ints, chosen: Ints
) -> tuple[int, int, bool]:
    """Takes increments by falling slope until one does not fit.

    Of equal slopes first steps come before second ones, then requests of larger value, then those before in position.

    Parameters
    ----------
    key : int array, [k * n]
        The bits of the increments' slopes: floats above 0 have the order of their bits.
    weight, option : int array, [k * n]
        As `Increments` has them.
    value : float array, [n]
    room : int
        What the weights may add up to.
    refill : bool
        Whether to go on, in the same order, with each increment that is next in its request and still fits.
    num_taken, chosen : int array, [n]
        Written: how many increments of each request are taken, and the option they lead to; 0 before.

    Returns
    -------
    left_out, room, tied : int, int, bool
        Position of the first increment that did not fit, -1 where all did; the room that is left; and whether equal
        ones were put in order by position, so that another order of the requests could have another answer.

    Notes
    -----
    Slopes are put into buckets, of which only those near the end of the run are sorted: O(k n) in all but degenerate
    cases, in which one bucket has most of the increments.
    """
    head, after, total = _buckets(key, weight)
    bucket = 0
    while bucket < NUM_BUCKETS and total[bucket] <= room:
        room -= total[bucket]
        position = head[bucket]
        while position >= 0:
            _take_one(position, option, num_taken, chosen)
            position = after[position]
        bucket += 1
    if bucket == NUM_BUCKETS:
        return -1, room, False
    heap = [0 for _ in range(0)]
    position = head[bucket]
    while position >= 0:
        heap.append(position)
        position = after[position]
    _heapify(heap, key, value)
    left_out, tied = _pop(heap, key, value), False
    while weight[left_out] <= room:
        room -= weight[left_out]
        _take_one(left_out, option, num_taken, chosen)
        tied = tied or _order(heap[0], left_out, key, value) == 0
        left_out = _pop(heap, key, value)
    tied = tied or (len(heap) > 0 and _order(heap[0], left_out, key, value) == 0)
    if refill and room > 0:
        room, more_tied = _take_more(bucket, head, after, key, weight, option, value, room, num_taken, chosen)
        tied = tied or more_tied
    return left_out, room, tied


@compiled
def _take_more(
    bucket: int,
    head: list[int],
    after: list[int],
    key: Ints,
    weight: Ints,
    option: Ints,
    value: Floats,
    room: int,
    num_taken: Ints,
    chosen: Ints,
) -> tuple[int, bool]:
    """Takes what still fits of the increments that are next in their requests, then of those that follow on them."""
    n, tied = len(chosen), False
    heap, taken = [0 for _ in range(0)], [0 for _ in range(0)]
    while bucket < NUM_BUCKETS and room > 0:
        position = head[bucket]
        while position >= 0:
            if weight[position] <= room and _is_next(position, num_taken):
                heap.append(position)
            position = after[position]
        if len(heap) > 0:
            room, more_tied = _take_in_order(heap, key, value, weight, room, taken)
            tied = tied or more_tied
        bucket += 1
    while len(taken) > 0:
        while len(taken) > 0:
            position = taken.pop()
            _take_one(position, option, num_taken, chosen)
            if position + n < len(key) and key[position + n] > 0 and weight[position + n] <= room:
                heap.append(position + n)
        room, more_tied = _take_in_order(heap, key, value, weight, room, taken)
        tied = tied or more_tied
    return room, tied


@compiled
def _take_in_order(
    heap: list[int], key: Ints, value: Floats, weight: Ints, room: int, taken: list[int]
) -> tuple[int, bool]:
    """Empties a list of positions by falling key into those taken, as far as they fit; the room left, any ties."""
    _heapify(heap, key, value)
    tied = False
    while len(heap) > 0:
        position = _pop(heap, key, value)
        if weight[position] <= room:
            room -= weight[position]
            taken.append(position)
            tied = tied or (len(heap) > 0 and _order(heap[0], position, key, value) == 0)
    return room, tied


@compiled
def _buckets(key: Ints, weight: Ints) -> tuple[list[int], list[int], list[int]]:
    """The first position in each bucket, the next one after each position (-1 at the end), each bucket's weight."""
    steepest = 0
    for position in range(len(key)):
        if key[position] > steepest:
            steepest = key[position]
    head, total, after = [-1] * NUM_BUCKETS, [0] * NUM_BUCKETS, [-1] * len(key)
    for position in range(len(key) - 1, -1, -1):
        bits = key[position]
        if bits > 0:
            bucket = (steepest - bits) >> SHIFT
            if bucket >= NUM_BUCKETS:
                bucket = NUM_BUCKETS - 1
            after[position] = head[bucket]
            head[bucket] = position
            total[bucket] += weight[position]
    return head, after, total


@compiled
def _take_one(position: int, option: Ints, num_taken: Ints, chosen: Ints) -> None:
    """Takes an increment."""
    request = position
    while request >= len(chosen):
        request -= len(chosen)
    num_taken[request] += 1
    chosen[request] = option[position]


@compiled
def _is_next(position: int, num_taken: Ints) -> bool:
    """Whether all increments before this one are taken, and it is not."""
    step = 0
    while position >= len(num_taken):
        position -= len(num_taken)
        step += 1
    return bool(step == num_taken[position])


@compiled
def _heapify(heap: list[int], key: Ints, value: Floats) -> None:
    """Makes a list of positions a heap: the largest key is on top, of equal ones the first position."""
    for at in range(len(heap) // 2 - 1, -1, -1):
        _sift_down(heap, at, key, value)


@compiled
def _pop(heap: list[int], key: Ints, value: Floats) -> int:
    """Takes the top off a heap."""
    top, last = heap[0], heap.pop()
    if len(heap) > 0:
        heap[0] = last
        _sift_down(heap, 0, key, value)
    return top


@compiled
def _sift_down(heap: list[int], at: int, key: Ints, value: Floats) -> None:
    """Restores a heap below one place."""
    moved, child = heap[at], 2 * at + 1
    while child < len(heap):
        other = child + 1
        if other < len(heap) and _comes_before(heap[other], heap[child], key, value):
            child = other
        if not _comes_before(heap[child], moved, key, value):
            break
        heap[at] = heap[child]
        at, child = child, 2 * child + 1
    heap[at] = moved


@compiled
def _comes_before(one: int, other: int, key: Ints, value: Floats) -> bool:
    """Whether an increment comes before another."""
    order = _order(one, other, key, value)
    return order > 0 or (order == 0 and one < other)


@compiled
def _order(one: int, other: int, key: Ints, value: Floats) -> int:
    """1 where an increment comes before another, -1 where it comes after it, 0 where only their positions tell."""
    if key[one] != key[other]:
        return 1 if key[one] > key[other] else -1
    n = len(value)
    while one >= n and other >= n:
        one -= n
        other -= n
    if one >= n or other >= n:
        return 1 if other >= n else -1
    if value[one] != value[other]:
        return 1 if value[one] > value[other] else -1
    return 0
