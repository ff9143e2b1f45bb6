"""The most blocks that requests will hold at once."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aptsched.policies.future_peak import future_peak, leading_under_peak, walk_back
from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.support.checks import Ints
from aptsched.support.compiled import in_plain_python
from caches import cache_of

KV = int(CacheForm.KV)
CACHES = (cache_of(), cache_of(Fraction(3, 4), 7), cache_of(Fraction(1, 3), 1))
REQUESTS = st.lists(
    st.tuples(st.integers(1, 90), st.integers(1, 70), st.sampled_from([CacheForm.KV, CacheForm.HIDDEN])), max_size=8
)


def columns(requests: list[tuple[int, int, CacheForm]]) -> tuple[Ints, Ints, Ints]:
    """Tokens, tokens to come, and forms, [n] each."""
    num_tokens, num_left, form = np.array(requests, np.int64).reshape(-1, 3).T
    return num_tokens, num_left, form


def token_by_token(cache: CacheShape, num_tokens: Ints, num_left: Ints, form: Ints) -> int:
    """The same by serving the requests, one token each an iteration."""
    most = 0
    for iteration in range(max(num_left.tolist(), default=0)):
        runs = num_left > iteration
        most = max(most, int(cache.blocks_by_form(num_tokens + iteration, form)[runs].sum()))
    return most


@given(st.sampled_from(CACHES), REQUESTS)
def test_it_is_what_serving_comes_to(cache: CacheShape, requests: list[tuple[int, int, CacheForm]]) -> None:
    """Token by token, no iteration holds more blocks, and one holds as many."""
    assert future_peak(cache, *columns(requests)) == token_by_token(cache, *columns(requests))


@given(REQUESTS)
def test_in_blocks_of_a_token_it_is_the_printed_formula(requests: list[tuple[int, int, CacheForm]]) -> None:
    """The largest, over k, of the first k's tokens and k times what the k-th has to come."""
    num_tokens, num_left, _ = columns(requests)
    order = np.argsort(-num_left, kind="stable")
    printed = np.cumsum(num_tokens[order]) + np.arange(1, len(order) + 1) * (num_left[order] - 1)
    kv = np.full(len(order), KV)
    assert future_peak(CACHES[2], num_tokens, num_left, kv) == max(printed.tolist(), default=0)


@given(st.sampled_from(CACHES), REQUESTS, st.integers(0, 8), st.integers(0, 60))
def test_the_longest_prefix_of_a_queue(
    cache: CacheShape, requests: list[tuple[int, int, CacheForm]], num_there: int, max_blocks: int
) -> None:
    """With those admitted the peak is within the blocks, and with one more it is not, unless nobody is left."""
    num_tokens, num_left, form = columns(requests)
    num_there = min(num_there, len(requests))
    count = leading_under_peak(cache, num_tokens, num_left, form, num_there, max_blocks)
    peaks = [
        token_by_token(cache, num_tokens[:end], num_left[:end], form[:end])
        for end in range(num_there, len(requests) + 1)
    ]
    assert count == 0 or peaks[count] <= max_blocks
    assert count == len(peaks) - 1 or peaks[count + 1] > max_blocks


def test_by_hand() -> None:
    """Two requests of 16 tokens, with 2 and 18 to come: 2 blocks, 4 in iteration 2, later 3 at most.

    A third of 16 tokens and 1 to come adds its block to the first iteration, and is admitted into 4 blocks; one with 2
    to come adds two to the second, and is not.
    """
    kv = np.full(3, KV)
    tokens, left = np.array([16, 16, 16]), np.array([2, 18, 1])
    assert future_peak(cache_of(), tokens[:2], left[:2], kv[:2]) == 4
    assert future_peak(cache_of(), tokens[1:2], np.array([19]), kv[:1]) == 3
    assert leading_under_peak(cache_of(), tokens, left, kv, 2, 4) == 1
    assert leading_under_peak(cache_of(), tokens, np.array([2, 18, 2]), kv, 2, 4) == 0


def test_plain_python_gives_the_same() -> None:
    """The loop that is compiled, run as it stands on lists."""
    growing = [[0] * 32 for _ in range(3)]
    plain = in_plain_python(walk_back)
    given = ([1, 0], [20, 30], [40, 5], [1, 2], (0, 16, 32), growing)
    kv = np.array([KV, int(CacheForm.HIDDEN)])
    assert plain(2, *given) == future_peak(cache_of(), np.array([20, 30]), np.array([40, 5]), kv)
