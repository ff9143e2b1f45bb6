"""The most requests whose prompts are done by their deadlines, within memory: the dynamic program of SLOs-Serve."""

from __future__ import annotations

import numpy as np

from aptsched.support.arrays import count_of
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.compiled import compiled, row_by_row


def admission_by_deadline(
    due_s: Floats, num_tokens: Ints, num_units: Ints, is_forced: Bools, tokens_per_s: Floats, max_units: int
) -> Bools:
    """Which requests are admitted, [n]: those forced, and as many others as the time and the memory are enough for.

    Prompts are computed by rising deadline. What is left of the prompt tokens that can be computed until one deadline
    counts for the next. For each number of requests admitted so far and each amount of memory that they take, the most
    tokens that may be left are kept; a request is admitted where that is no less than its prompt. One that is forced
    is so even if tokens are short; then nobody is admitted that is due before it. Of selections of equally many
    requests the one is taken with most tokens left at the last deadline.

    Parameters
    ----------
    due_s : float array, [n]
        When the prompt has to be done, from now on; below 0 where that has passed.
    num_tokens, num_units : int array, [n]
        Tokens of the prompt that are left to be computed, and units of memory that the request takes until its end.
    is_forced : bool array, [n]
        Those that were admitted before, whose memory is none of `max_units`; of equal deadlines these count first.
    tokens_per_s : float array, [number of requests not forced + 1]
        Prompt tokens that are computed in a second while so many of those admitted now decode.
    max_units : int
        Units of memory that those admitted now may take in all.

    Notes
    -----
    Source: Chen et al., SLOs-Serve (arXiv 2504.08784), section 3: states of deadline, memory, requests accepted and the
    prefill budget left.
    """
    order = np.lexsort((~is_forced, due_s))
    most = len(order) - count_of(is_forced)
    left = np.full((most + 1, max_units + 1), -np.inf)
    left[0][0] = 0.0
    taken = np.zeros((len(order) * (most + 1), max_units + 1), np.int64)
    tokens, units, forced = (row_by_row(each[order]) for each in (num_tokens, num_units, is_forced.astype(np.int64)))
    fill(row_by_row(due_s[order]), tokens, units, forced, row_by_row(tokens_per_s), left, taken)
    admitted = np.zeros(len(order), np.int64)
    walk_back(units, forced, left, taken, admitted)
    found = np.empty(len(order), np.bool_)
    found[order] = admitted > 0
    return found


@compiled
def fill(
    due_s: Floats, num_tokens: Ints, num_units: Ints, is_forced: Ints, tokens_per_s: Floats, left: Floats, taken: Ints
) -> None:
    """Fills the table of tokens left, [admitted, units], and in which of its states each request is taken.

    `left` is 0 where nobody is admitted and no unit is taken, -inf elsewhere; `taken`, [n (most admitted + 1), units],
    is 0. The columns, [n], are in order of deadline.
    """
    num_states, num_amounts = len(left), len(left[0])
    until_s, reached = 0.0, 0
    for i in range(len(due_s)):
        gap_s = max(due_s[i] - until_s, 0.0)
        until_s += gap_s
        for k in range(reached + 1):
            for units in range(num_amounts):
                left[k][units] += gap_s * tokens_per_s[k]
        if is_forced[i] > 0:
            least = min(0.0, left[0][0] - num_tokens[i])
            for k in range(reached + 1):
                for units in range(num_amounts):
                    after = left[k][units] - num_tokens[i]
                    left[k][units] = after if after >= least else -np.inf
            continue
        for k in range(reached, -1, -1):
            for units in range(num_amounts - num_units[i]):
                after = left[k][units] - num_tokens[i]
                if after >= 0.0 and after > left[k + 1][units + num_units[i]]:
                    left[k + 1][units + num_units[i]] = after
                    taken[i * num_states + k + 1][units + num_units[i]] = 1
        reached += 1


@compiled
def walk_back(num_units: Ints, is_forced: Ints, left: Floats, taken: Ints, admitted: Ints) -> None:
    """Marks who is admitted in the state of most requests that has most tokens left; nobody was before."""
    num_states, num_amounts = len(left), len(left[0])
    k, best = num_states - 1, 0
    while True:
        for units in range(num_amounts):
            if left[k][units] > left[k][best]:
                best = units
        if left[k][best] > -np.inf:
            break
        k -= 1
    for i in range(len(num_units) - 1, -1, -1):
        if is_forced[i] > 0:
            admitted[i] = 1
        elif taken[i * num_states + k][best] > 0:
            admitted[i] = 1
            k, best = k - 1, best - num_units[i]
