"""How long outputs last, by the size of their prompts: Kaplan-Meier estimates of what has ended and what has not."""

from __future__ import annotations

import numpy as np

from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.support.checks import Floats, Ints

WIDTH = 16  # tokens of a step of lengths
NUM_STEPS = 512  # beyond which the last step's hazard lasts
NUM_SIZES = 64  # of prompts, two for each power of 2
FIRST_TOKENS = 256.0  # that an output is expected to have while none has ended; assumed
SHRUNK = 8.0  # outputs of all prompts that count beside those of one size, in each step
EVERY = 16  # requests that end between two estimates, once there were as many


class OutputSurvival:
    """Learns from requests that have ended, and from how far the others are, when outputs end.

    The hazard of a step of lengths is the share of the outputs that reached it and ended in it. Outputs that were
    broken off, or go on, count in the steps that they have passed (Kaplan and Meier, 1958). The hazard of one size of
    prompts is drawn to that of all sizes, and that to one for all lengths, as if of so many outputs more.
    """

    def __init__(self) -> None:
        self._passed, self._ended = np.zeros((2, NUM_SIZES, NUM_STEPS))
        self._num_new = self._num_ended = 0
        self._log_survival, self._left = _estimated(self._passed, self._ended)

    def add(self, record: RequestRecord) -> None:
        """Takes note of a request that has ended."""
        size = int(_sizes(np.array([record.num_prompt_tokens]))[0])
        last = min(record.num_output_tokens // WIDTH, NUM_STEPS - 1)
        self._passed[size, :last] += 1
        if record.outcome is Outcome.FINISHED:
            self._passed[size, last] += 1
            self._ended[size, last] += 1
        self._num_new += 1
        self._num_ended += 1

    def update(self, num_prompt_tokens: Ints, generated: Ints) -> None:
        """Estimates anew where enough has ended, with the prompts and outputs so far of requests that go on, [n]."""
        if self._num_new < min(EVERY, max(1, self._num_ended // 8)):
            return
        self._num_new = 0
        at = np.zeros((NUM_SIZES, NUM_STEPS))
        np.add.at(at, (_sizes(num_prompt_tokens), _steps(generated)), 1)
        further = at[:, ::-1].cumsum(axis=1)[:, ::-1] - at
        self._log_survival, self._left = _estimated(self._passed + further, self._ended)

    def expected_left(self, num_prompt_tokens: Ints, generated: Ints) -> Floats:
        """Output tokens that each request is expected to generate still, [n]; at least 1."""
        return self._left[_sizes(num_prompt_tokens), _steps(generated)]

    def ends_within(self, num_prompt_tokens: Ints, generated: Ints, num_tokens: float) -> Floats:
        """The chance that each request ends with one of its next so many tokens, [n]."""
        size, step = _sizes(num_prompt_tokens), _steps(generated)
        then = np.minimum(step + max(1, round(num_tokens / WIDTH)), NUM_STEPS)
        return 1.0 - np.exp(self._log_survival[size, then] - self._log_survival[size, step])


def _sizes(num_prompt_tokens: Ints) -> Ints:
    sizes: Ints = (2 * np.log2(num_prompt_tokens)).astype(np.int64)
    return np.minimum(sizes, NUM_SIZES - 1)


def _steps(generated: Ints) -> Ints:
    return np.minimum(generated // WIDTH, NUM_STEPS - 1)


def _estimated(passed: Floats, ended: Floats) -> tuple[Floats, Floats]:
    """The logarithm of the share that reaches each step, [s, k + 1], and the tokens expected from it on, [s, k]."""
    first = WIDTH / FIRST_TOKENS
    steady = (ended.sum() + first) / (passed.sum() + 1.0)
    of_all = (ended.sum(axis=0) + steady) / (passed.sum(axis=0) + 1.0)
    hazard = (ended + SHRUNK * of_all) / (passed + SHRUNK)
    log_survival = np.zeros((len(hazard), NUM_STEPS + 1))
    np.log1p(-np.minimum(hazard, 1 - 1e-9)).cumsum(axis=1, out=log_survival[:, 1:])
    # Of those that reach a step, those that pass the ones behind it add their width each, and a half where they end.
    share = np.exp(log_survival)
    beyond = share[:, :-1] - share[:, 1:]
    tail = share[:, -1] * WIDTH / steady
    tokens = WIDTH * (share[:, 1:] + 0.5 * beyond)
    left = (tokens[:, ::-1].cumsum(axis=1)[:, ::-1] + tail[:, None]) / np.maximum(share[:, :-1], 1e-300)
    return log_survival, np.maximum(left, 1.0)
