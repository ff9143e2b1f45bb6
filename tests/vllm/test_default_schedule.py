"""Under the policy `vllm-v1` vLLM does what it does without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from benchmarks.vllm_clock import Drive, Offered, Served, Setup, make_scheduler, offered
from engine.vllm import AptAsyncScheduler, AptScheduler

ADDITIONAL = {"aptsched": {"policy": "vllm-v1"}}
OWN = {False: Scheduler, True: AsyncScheduler}
OURS = {False: AptScheduler, True: AptAsyncScheduler}


def both(given: Offered, setup: Setup, directory: Path) -> list[Served]:
    """vLLM's own run, and that under the policy."""
    return [Drive(make_scheduler(of[setup.asynchronous], setup, directory), given, setup).run() for of in (OWN, OURS)]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("seed", range(20))
def test_each_iteration_is_that_of_vllm(seed: int, asynchronous: bool, tmp_path: Path) -> None:
    """At overload, with preemptions: the same tokens for the same requests in each iteration."""
    setup = Setup(asynchronous=asynchronous, additional=ADDITIONAL)
    given = offered(np.random.default_rng(seed), cap_tokens=400 if seed % 2 else 0)
    own, ours = both(given, setup, tmp_path)
    assert own.num_preemptions > 0
    assert ours.schedule == own.schedule
    assert ours.token_at_s == own.token_at_s


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("seed", range(3))
def test_so_it_is_with_a_prefix_cache(seed: int, asynchronous: bool, tmp_path: Path) -> None:
    """Where prompts begin with the same 64 tokens, which most requests find in it."""
    setup = Setup(asynchronous=asynchronous, prefix_caching=True, additional=ADDITIONAL)
    own, ours = both(offered(np.random.default_rng(seed), num_shared_tokens=64), setup, tmp_path)
    assert ours.schedule == own.schedule


@pytest.mark.parametrize("seed", range(3))
def test_so_it_is_with_chunks_and_few_sequences(seed: int, tmp_path: Path) -> None:
    """A budget of 48 tokens, and 12 sequences, cut prompts and hold up the queue."""
    setup = Setup(max_tokens=48, max_seqs=12, additional=ADDITIONAL)
    own, ours = both(offered(np.random.default_rng(seed), rate_per_s=8), setup, tmp_path)
    assert ours.schedule == own.schedule
