"""Draws without a sort are those of the definitions, written plainly."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.runner.sampler import sample
from engine.runner.sampling.inverse import BLOCK, inverse
from engine.runner.sampling.likeliest import FIRST, likeliest
from engine.runner.sampling.threshold import by_threshold, ordered
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams

GRID = 1 << 20  # shares and uniform numbers are whole multiples of a power of two, so that sums are exact
sizes = st.integers(1, 5) | st.sampled_from([BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])


def first_above(shares: list[int], uniform: int) -> int:
    """The first entry up to which shares add up to more than uniform / GRID of all."""
    until, total = 0, sum(shares)
    for entry, share in enumerate(shares):
        until += share
        if until * GRID > uniform * total:
            return entry
    raise AssertionError("uniform is below GRID")


@given(sizes, st.integers(1, 4), st.randoms(use_true_random=False), st.integers(0, GRID - 1))
def test_the_entry_drawn_is_the_first_whose_sum_is_above_the_point(
    size: int, num_rows: int, random: object, uniform: int
) -> None:
    """At any size of a row, also where most shares are 0."""
    draw = random.randrange  # type: ignore[attr-defined]
    rows = [[draw(64) if draw(3) else 0 for _ in range(size)] for _ in range(num_rows)]
    for row in rows:
        row[draw(size)] = 1 + draw(64)
    points = [(uniform + draw(GRID)) % GRID for _ in rows]
    found = inverse(torch.tensor(rows, dtype=torch.float32), torch.tensor(points, dtype=torch.float64) / GRID)
    assert found.tolist() == [first_above(row, point) for row, point in zip(rows, points, strict=True)]


def test_evenly_spaced_points_draw_each_entry_as_often_as_its_share_says() -> None:
    """Within one draw of it: so uniform points draw from the distribution."""
    shares = torch.rand(1000, generator=torch.Generator().manual_seed(4)) ** 8
    points = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    counts = inverse(shares.expand(20_000, -1), points).bincount(minlength=1000)
    assert (counts - 20_000 * shares.double() / shares.double().sum()).abs().max() < 1.001


def test_an_entry_of_share_0_is_not_drawn_where_rounding_exceeds_the_sums() -> None:
    """At the last point before 1, of shares whose sum in blocks is not that of their parts."""
    shares = torch.rand(1, 5 * BLOCK, generator=torch.Generator().manual_seed(1))
    shares[:, 4 * BLOCK + 3 :] = 0
    assert inverse(shares, torch.tensor([1 - 2.0**-53], dtype=torch.float64)).tolist() == [4 * BLOCK + 2]


def left(logits: list[int], shares: list[int], top_k: int, top_p: float) -> list[bool]:
    """By rank: fewer than top_k before it, and less than top_p of all shares."""
    order = sorted(range(len(logits)), key=lambda entry: (-logits[entry], entry))
    kept, before = [False] * len(logits), 0
    for rank, entry in enumerate(order):
        kept[entry] = not rank or (rank < top_k and before / GRID < top_p)
        before += shares[entry]
    return kept


@given(
    st.sampled_from([1, 3, FIRST - 1, FIRST + 1, 700]),
    st.integers(1, 40),
    st.integers(1, 800),
    st.floats(0, 1, exclude_min=True),
    st.randoms(use_true_random=False),
)
def test_what_top_k_and_top_p_leave_is_what_a_sort_leaves(
    size: int, num_values: int, top_k: int, top_p: float, random: object
) -> None:
    """Of equal logits those with smaller ids, in rows longer than what is looked at first, beside a row of no limit."""
    draw = random.randrange  # type: ignore[attr-defined]
    logits = [draw(num_values) for _ in range(size)]
    shares = [GRID // size * (1 + logit) // num_values for logit in logits]
    given = (
        torch.tensor([logits, logits], dtype=torch.float32),
        torch.tensor([shares, shares], dtype=torch.float64) / GRID,
        torch.tensor([min(top_k, size), size]),
        torch.tensor([top_p, 1.0], dtype=torch.float64),
    )
    expected = [left(logits, shares, min(top_k, size), top_p), left(logits, shares, size, 1.0)]
    assert likeliest(*given).tolist() == expected
    assert by_threshold(*given).tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@settings(max_examples=20)
@given(values=st.lists(st.floats(allow_nan=False, width=16), min_size=2, max_size=12))
def test_keys_of_logits_are_in_their_order(dtype: torch.dtype, values: list[float]) -> None:
    """As numbers without a sign, of any dtype, infinite ones too; those of equal logits are equal."""
    logits = torch.tensor(values, dtype=dtype)
    keys = ordered(logits)
    unsigned = [key % 2 ** (8 * keys.element_size()) for key in keys.tolist()]
    for i, j in combinations(range(len(values)), 2):
        assert bool(logits[i] < logits[j]) == (unsigned[i] < unsigned[j])
        assert bool(logits[i] == logits[j]) == (unsigned[i] == unsigned[j])


def test_a_flat_distribution_is_cut_where_a_sort_cuts_it() -> None:
    """Of a whole vocabulary, whose largest logits hold next to nothing; within rounding of the sums."""
    logits = 0.01 * torch.randn(3, 5000, generator=torch.Generator().manual_seed(4))
    shares = logits.softmax(-1)
    found = likeliest(logits, shares, torch.tensor([5000, 1000, 5000]), torch.tensor([0.7, 0.9, 0.2]).double())
    for row, count in ((0, 3500), (1, 1000), (2, 1000)):
        kept = int(found[row].sum())
        assert abs(kept - count) < 0.02 * 5000
        assert set(found[row].nonzero()[:, 0].tolist()) == set(logits[row].argsort(descending=True)[:kept].tolist())
    assert int(found[1].sum()) == 1000


@pytest.mark.parametrize("vocab", [7, 300])
def test_seeds_draw_tokens_as_often_as_the_softmax_says(vocab: int) -> None:
    """Over 4,000 seeds, within five standard deviations, at a temperature of 0.5."""
    logits = torch.randn(vocab, generator=torch.Generator().manual_seed(2))
    requests = [Request(i, 0.0, 1, SamplingParams(temperature=0.5, seed=i)) for i in range(4000)]
    counts = Counter(sample(logits.expand(4000, -1), requests).tolist())
    for token, share in enumerate((logits / 0.5).softmax(-1).tolist()):
        assert abs(counts[token] - 4000 * share) <= 5 * (4000 * share * (1 - share)) ** 0.5 + 1
