"""How long batches take on an executor, each alone or several in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aptsched.support.checks import Floats
from engine.state.batch import Batch, Executor

REPEATS = 5
MAX_FED = 1024  # tokens of all runs of a prefill together, so that a long one is run less often
MAX_READ = 8192  # tokens of all runs of a decode in another form together, and of a conversion


def alone(executor: Executor, batch: Batch) -> float:
    """The median seconds of a batch after a warm-up; the longest prefills run once, without a warm-up."""
    num_runs = _num_runs(MAX_FED, int(batch.num_tokens.sum()))
    seconds = [executor.run(batch).duration_s for _ in range(num_runs)]
    return float(np.median(seconds[1:] or seconds))


def in_turn(runs: Sequence[tuple[Executor, Batch]], num_tokens: int, max_tokens: int = MAX_READ) -> Floats:
    """Seconds of batches on their executors, run in turn, [repeats, number], after a warm-up.

    Parameters
    ----------
    runs : sequence of (executor, batch)
    num_tokens, max_tokens : int
        Tokens that a turn counts for, and most tokens of all turns: with more of them there are fewer turns, but two.
    """
    num_turns = max(2, _num_runs(max_tokens, num_tokens))
    seconds = [[executor.run(batch).duration_s for executor, batch in runs] for _ in range(num_turns)]
    return np.array(seconds[1:])


def _num_runs(max_tokens: int, num_tokens: int) -> int:
    return min(REPEATS + 1, max(1, max_tokens // num_tokens))


def idle() -> Batch:
    """A batch that feeds nothing."""
    none = np.empty(0, np.int64)
    return Batch((), none, none, none, none.reshape(0, 0), none.astype(np.bool_))
