"""Decodes by compiled loops attend as torch does, whatever the sizes, on any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.scheduling.forms import BLOCK_SIZE
from engine.runner.loops import attention, team
from engine.runner.loops.attention import DecodeLoops, decode_loops

TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 0.01}  # outcomes are averages of normal numbers
loops_run = pytest.mark.skipif(not team.has_team(), reason="loops are not compiled, or torch's threads are not GNU's")


@dataclass(frozen=True)
class Case:
    """Decodes and their model: tokens of each request, heads that share K and V, KV heads, and head_dim."""

    num_tokens: list[int]
    sharing: int
    kv_heads: int
    dim: int
    dtype: torch.dtype
    seed: int

    def loops(self, scale: float = 1.0) -> DecodeLoops:
        """A cache of two layers with a block more than is needed, all of normal numbers."""
        rows = (1 + sum(self.blocks)) * BLOCK_SIZE
        generator = torch.Generator().manual_seed(self.seed)
        cache = torch.randn(2, rows, 2 * self.kv_heads * self.dim, generator=generator)
        found = decode_loops((scale * cache).to(self.dtype), self.sharing * self.kv_heads, self.kv_heads, self.dim)
        assert found is not None
        return found

    @property
    def blocks(self) -> list[int]:
        """Of each request."""
        return [-(-num // BLOCK_SIZE) for num in self.num_tokens]

    def table(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Blocks of each in any order; -1 beyond the last, in one column more than is needed."""
        order = np.random.default_rng(self.seed).permutation(1 + sum(self.blocks))
        found = np.full((len(self.blocks), max(self.blocks) + 1), -1)
        for row, end in enumerate(np.cumsum(self.blocks).tolist()):
            found[row, : self.blocks[row]] = order[end - self.blocks[row] : end]
        return found

    def queries(self) -> torch.Tensor:
        """Q as the first part of longer rows."""
        heads, generator = self.sharing * self.kv_heads, torch.Generator().manual_seed(self.seed + 1)
        return torch.randn(len(self.blocks), heads + 3, self.dim, generator=generator).to(self.dtype)[:, :heads]

    def expected(self, loops: DecodeLoops, layer: int) -> torch.Tensor:
        """The outcome in float64, request by request."""
        found = []
        for number, blocks, q in zip(self.num_tokens, self.table(), self.queries().double(), strict=True):
            cache = loops.rows[layer].double().view(-1, BLOCK_SIZE, 2, self.kv_heads, self.dim)
            keys, values = cache[blocks[blocks >= 0]].flatten(0, 1)[:number].permute(1, 2, 0, 3)
            rows = q.view(self.kv_heads, self.sharing, self.dim)
            shares = (rows @ keys.transpose(1, 2) / self.dim**0.5).softmax(-1)
            found.append((shares @ values).view(-1, self.dim))
        return torch.stack(found)


CASES = st.builds(
    Case,
    num_tokens=st.lists(st.integers(1, 70), min_size=1, max_size=5),
    sharing=st.integers(1, 4),
    kv_heads=st.integers(1, 3),
    dim=st.sampled_from([2, 12, 16, 64]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    seed=st.integers(0, 1000),
)


@pytest.fixture
def num_threads() -> Iterator[None]:
    """Torch's threads are as before afterwards."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@loops_run
@settings(max_examples=60, deadline=None)
@given(case=CASES, layer=st.integers(0, 1))
def test_outcomes_are_those_of_full_attention(case: Case, layer: int) -> None:
    """Any lengths, blocks, heads and sizes of heads, in fp32 and bf16."""
    loops = case.loops()
    found = loops.attender(case.table(), np.array(case.num_tokens))(layer, case.queries())
    assert found.dtype == case.dtype and found.is_contiguous()
    assert (found.double() - case.expected(loops, layer)).abs().max() <= TOLERANCE[case.dtype]


@loops_run
@pytest.mark.usefixtures("num_threads")
@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("num_tokens", [[300], [90, 33, 200, 1]])
def test_outcomes_do_not_depend_on_threads(
    threads: int, num_tokens: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the last bit: one request's heads are shared out among threads, or the requests are."""
    case = Case(num_tokens, 3, 3, 64, torch.float32, 0)
    loops, table = case.loops(), case.table()
    alone = loops.attender(table, np.array(num_tokens))(1, case.queries())
    monkeypatch.setattr(attention, "ALONE_BYTES", 0)
    torch.set_num_threads(threads)
    assert torch.equal(loops.attender(table, np.array(num_tokens))(1, case.queries()), alone)


@loops_run
def test_scores_far_apart_give_the_value_of_the_largest() -> None:
    """Exponentials end at the least power of two, not in a power that is none."""
    case = Case([40, 17], 2, 1, 16, torch.float32, 3)
    loops = case.loops(scale=1e4)
    found = loops.attender(case.table(), np.array(case.num_tokens))(0, case.queries())
    torch.testing.assert_close(found.double(), case.expected(loops, 0), rtol=1e-5, atol=0.02)


@loops_run
@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_what_is_not_finite_shows(broken: float) -> None:
    """One number of a cached K or V makes an outcome that is not finite, and the other request's stays finite."""
    case = Case([20, 20], 1, 1, 16, torch.float32, 4)
    for side in (0, 16):
        loops, table = case.loops(), case.table()
        loops.rows[0, table[0, 0] * BLOCK_SIZE + 3, side] = broken
        found = loops.attender(table, np.array(case.num_tokens))(0, case.queries())
        assert not found[0].isfinite().all() and found[1].isfinite().all()


def test_other_numbers_have_no_loops() -> None:
    """fp16 and float64 are torch's."""
    for dtype in (torch.float16, torch.float64):
        assert decode_loops(torch.zeros(1, BLOCK_SIZE, 8, dtype=dtype), 2, 1, 4) is None


def test_without_threads_of_torch_there_are_no_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where numba or GNU's OpenMP is missing, torch attends."""
    monkeypatch.setattr(team, "has_team", lambda: False)
    assert decode_loops(torch.zeros(1, BLOCK_SIZE, 8), 2, 1, 4) is None
