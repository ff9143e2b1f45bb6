"""A plan that holds is not asked for again, and what is served is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.vllm_clock import Drive, Served, Setup, make_scheduler, offered
from engine.vllm import AptAsyncScheduler, AptScheduler

POLICIES = ("fitted(shed(vllm-v1))", "shed(sarathi)", "aptserve:forms=kv", "bid-price")


def served(policy: str, seed: int, asynchronous: bool, asks_always: bool, directory: Path) -> tuple[Served, int]:
    """A run at overload, and how often the policy was asked."""
    setup = Setup(asynchronous=asynchronous, additional={"aptsched": {"policy": policy}})
    scheduler = make_scheduler(AptAsyncScheduler if asynchronous else AptScheduler, setup, directory)
    decider = scheduler._decider
    decider.means_holds &= not asks_always
    plan, asked = decider.plan, list[int]()

    def counted(view: object) -> object:
        asked.append(1)
        return plan(view)

    decider.plan = counted
    return Drive(scheduler, offered(np.random.default_rng(seed), cap_tokens=400), setup).run(), len(asked)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("policy", POLICIES)
def test_each_iteration_is_that_of_a_policy_that_is_always_asked(
    policy: str, asynchronous: bool, tmp_path: Path
) -> None:
    """With preemptions and rejections, and fewer decisions."""
    always, num_always = served(policy, 3, asynchronous, True, tmp_path)
    held, num_asked = served(policy, 3, asynchronous, False, tmp_path)
    assert held.schedule == always.schedule
    assert (held.token_at_s, held.refused) == (always.token_at_s, always.refused)
    assert num_always > len(always.schedule) - 10
    assert num_asked < num_always
