"""Dynamic programming over several resources: lists of states, pruned by the gap that their losses leave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.support.checks import Floats, Ints
from solvers.core.alternatives import Alternatives
from solvers.core.budget import Budget

WIDEST = 2**40  # limit of a packed amount, so that a position fits beside it
MANY = 48  # from so many states on, looking for those that take the same pays


@dataclass(frozen=True, eq=False)
class Stage:
    """The options of one request: the LP's option first, then its alternatives, [m].

    Attributes
    ----------
    take : int array, [D, m, 1]
    gain, loss : float array, [m, 1]
        As `Alternatives` has them; 0 for the LP's option.
    ceiling : list of int, [D]
        The most that a state may have taken after this request: more than that later requests cannot give back.
    """

    take: Ints
    gain: Floats
    loss: Floats
    ceiling: list[int]


@dataclass(frozen=True, eq=False)
class States:
    """States: what the first few requests take, [D, m], gain and lose, [m], and how each state came about.

    `came_by` is (position of the state before) * (number of options) + option, with 0 for the LP's option.
    """

    take: Ints
    gain: Floats
    loss: Floats
    came_by: Ints

    def at(self, positions: Ints) -> States:
        """The states at the given positions."""
        return States(
            self.take.take(positions, axis=1),
            self.gain.take(positions),
            self.loss.take(positions),
            self.came_by.take(positions),
        )


def best_of_states(
    alternatives: Alternatives, slack: Ints, incumbent_s: float, gap: float, beam: int, budget: Budget
) -> tuple[Ints, bool]:
    """The choice of largest gain: at most one alternative for each request, taking at most the slack together.

    Parameters
    ----------
    alternatives : Alternatives
    slack : int array, [D]
    incumbent_s, gap : float
        Gain of the incumbent above the LP's options, and by how much the bound is above it, in seconds.
    beam : int
        Most states kept; where there are more the answer is not proved.

    Returns
    -------
    chosen, proved : int array, bool
        Positions of the alternatives, empty where none better than the incumbent was found; and whether that is proved.

    Notes
    -----
    A state is what the first few requests take and gain. It is dropped if its losses exceed the gap, if it cannot
    come within the limits any more, or if another takes the same for more gain.
    """
    if not len(alternatives.request):
        return np.empty(0, np.int64), True
    starts, stages = alternatives.starts, _stages(alternatives, slack)
    cheapest = np.minimum.reduceat(alternatives.loss, starts).tolist()
    strides = _strides(alternatives)
    states = States(np.zeros((len(slack), 1), np.int64), np.zeros(1), np.zeros(1), np.zeros(1, np.int64))
    history: list[Ints] = []
    best, where, proved = incumbent_s, None, True
    if (slack >= 0).all() and best < 0:
        best, where, gap = 0.0, (0, 0), gap + incumbent_s
    for number, stage in enumerate(stages):
        if cheapest[number] > gap or not len(states.gain):
            break
        if not budget.spend(states.gain.size * stage.gain.size):
            proved = False
            break
        states = _after(states, stage, gap, strides)
        if len(states.gain) > beam:
            states, proved = states.at(np.argpartition(states.loss, beam)[:beam]), False
        history.append(states.came_by)
        if float(states.gain.max(initial=-np.inf)) > best:
            complete = np.where((states.take <= slack[:, None]).all(axis=0), states.gain, -np.inf)
            top = float(complete.max())
            if top > best:
                gap -= top - best
                best, where = top, (number + 1, int(complete.argmax()))
    return _chosen(history, where, starts, [stage.gain.size for stage in stages]), proved


def _stages(alternatives: Alternatives, slack: Ints) -> list[Stage]:
    """A stage for each request."""
    starts = alternatives.starts
    least = np.minimum(np.minimum.reduceat(alternatives.take, starts, axis=1), 0)
    later = least.sum(axis=1, keepdims=True) - np.cumsum(least, axis=1)
    ceilings = (slack[:, None] - later).T.tolist()
    take = np.insert(alternatives.take, starts, 0, axis=1)[:, :, None]
    gain, loss = (np.insert(each, starts, 0.0)[:, None] for each in (alternatives.gain, alternatives.loss))
    ends = [*(starts + np.arange(len(starts))).tolist(), len(gain)]
    return [
        Stage(take[:, start:end], gain[start:end], loss[start:end], ceiling)
        for start, end, ceiling in zip(ends[:-1], ends[1:], ceilings, strict=True)
    ]


def _after(states: States, stage: Stage, gap: float, strides: Ints | None) -> States:
    """The states after one more request that are worth keeping."""
    take = (states.take[:, None] + stage.take).reshape(len(stage.take), -1)
    loss = (states.loss + stage.loss).ravel()
    alive = loss <= gap
    for used, most in zip(take, stage.ceiling, strict=True):
        alive &= used <= most
    kept = alive.nonzero()[0]
    alternative, before = np.divmod(kept, len(states.gain))
    gain = states.gain.take(before) + stage.gain.ravel().take(alternative)
    after = States(take.take(kept, axis=1), gain, loss.take(kept), before * stage.gain.size + alternative)
    if len(kept) <= MANY or strides is None:
        return after
    return after.at(_undominated((strides * after.take).sum(axis=0), gain))


def _strides(alternatives: Alternatives) -> Ints | None:
    """Factors that pack what a state takes into one number, [D, 1]; None where that would be too large."""
    take, starts = alternatives.take, alternatives.starts
    low = np.minimum(np.minimum.reduceat(take, starts, axis=1), 0).sum(axis=1)
    high = np.maximum(np.maximum.reduceat(take, starts, axis=1), 0).sum(axis=1)
    strides = [1]
    for size in (high - low + 1).tolist():
        strides.append(strides[-1] * size)
    return np.array(strides[:-1], np.int64)[:, None] if strides[-1] < WIDEST else None


def _undominated(key: Ints, gain: Floats) -> Ints:
    """Positions of the states that gain the most of those with the same key."""
    bits = len(key).bit_length()
    order = np.argsort(-gain, kind="stable")
    packed = key.take(order) << bits
    packed |= np.arange(len(key))
    packed.sort()
    first = np.ones(len(key), np.bool_)
    np.not_equal(packed[1:] >> bits, packed[:-1] >> bits, out=first[1:])
    best: Ints = order.take(packed[first] & ((1 << bits) - 1))
    return best


def _chosen(history: list[Ints], where: tuple[int, int] | None, starts: Ints, sizes: list[int]) -> Ints:
    """The alternatives that lead to a state."""
    chosen: list[int] = []
    number, state = where or (0, 0)
    while number:
        number -= 1
        state, alternative = divmod(int(history[number][state]), sizes[number])
        if alternative:
            chosen.append(int(starts[number]) + alternative - 1)
    return np.array(chosen, np.int64)
