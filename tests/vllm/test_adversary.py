"""Whatever a policy does, vLLM serves every request to its end, and its lists and blocks are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vllm.v1.request import RequestStatus

from benchmarks.vllm_clock import Drive, Offered, Setup, make_scheduler, offered
from engine.vllm import AptAsyncScheduler, AptScheduler

SETUPS = [(asynchronous, caching) for asynchronous in (False, True) for caching in (False, True)]


def drive(policy: str, given: Offered, directory: Path, asynchronous: bool = False, caching: bool = False) -> Drive:
    """Requests, to be served under a policy, with objectives that are never missed."""
    own = {"policy": policy, "slo_ttft_s": 1e6, "slo_tpot_s": 1e6}
    setup = Setup(prefix_caching=caching, asynchronous=asynchronous, additional={"aptsched": own})
    return Drive(make_scheduler(AptAsyncScheduler if asynchronous else AptScheduler, setup, directory), given, setup)


def check_whole(scheduler: Any) -> None:
    """Each unfinished request is in one list of vLLM, and the mirror says of it what vLLM does."""
    mirror = scheduler._mirror
    assert [*map(mirror.number, scheduler.running)] == sorted(map(mirror.number, scheduler.running))
    assert sorted(map(mirror.number, [*scheduler.running, *scheduler.waiting])) == sorted(
        map(mirror.number, mirror.core)
    )
    assert {request.request_id for request in mirror.core} == set(scheduler.requests)
    num_under_way = [each.num_output_placeholders or each.num_stale_output_tokens > 0 for each in mirror.core]
    assert mirror.num_cached.tolist() == [each.num_computed_tokens for each in mirror.core]
    if isinstance(scheduler, AptAsyncScheduler):
        assert all(mirror.num_in_flight >= num_under_way)
    else:
        assert not mirror.num_in_flight.any()
    assert mirror.table.num_tokens[: mirror.num_rows].tolist() == [each.num_tokens for each in mirror.core]
    blocks = [len(scheduler.kv_cache_manager.get_block_ids(each.request_id)[0]) for each in mirror.core]
    assert (-(-mirror.num_cached // scheduler.block_size)).tolist() == blocks


@pytest.mark.parametrize(("asynchronous", "caching"), SETUPS)
def test_every_request_gets_all_its_tokens(
    asynchronous: bool, caching: bool, own_policies: Path, tmp_path: Path
) -> None:
    """Under random admissions, holds, chunks and preemptions; after each iteration nothing is missing or twice."""
    given = offered(np.random.default_rng(1), num_shared_tokens=64, cap_tokens=400)
    run = drive(f"{own_policies}:random", given, tmp_path, asynchronous, caching)
    served = run.run(lambda: check_whole(run.scheduler))
    assert [len(served.token_at_s[str(at)]) for at in range(200)] == given.num_output_tokens.tolist()
    assert served.num_preemptions > 100
    assert (
        run.scheduler.kv_cache_manager.block_pool.get_num_free_blocks() == run.scheduler.cache_config.num_gpu_blocks - 1
    )


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_who_is_rejected_ends_with_an_error(asynchronous: bool, own_policies: Path, tmp_path: Path) -> None:
    """And everybody else gets all tokens; the blocks of both are free at the end."""
    given = offered(np.random.default_rng(2))
    run = drive(f"{own_policies}:rejecting", given, tmp_path, asynchronous)
    served = run.run(lambda: check_whole(run.scheduler))
    assert 0 < len(served.refused) < 200
    lengths = {str(at): length for at, length in enumerate(given.num_output_tokens.tolist())}
    finished = [name for name in lengths if name not in served.refused]
    assert [len(served.token_at_s[name]) for name in finished] == [lengths[name] for name in finished]
    assert run.scheduler.kv_cache_manager.block_pool.get_num_free_blocks() == 60


@pytest.mark.parametrize("name", ["Nobody", "Failing"])
def test_a_policy_that_serves_nobody_or_fails_holds_up_nobody(name: str, own_policies: Path, tmp_path: Path) -> None:
    """vLLM decides alone then, in each iteration of a policy that fails, and after a second of idling."""
    given = offered(np.random.default_rng(3), num_requests=4, rate_per_s=1)
    served = drive(f"{own_policies}:{name}", given, tmp_path).run(most=20_000)
    assert [len(served.token_at_s[str(at)]) for at in range(4)] == given.num_output_tokens.tolist()


def test_an_abort_and_a_reset_of_the_prefix_cache_leave_all_whole(own_policies: Path, tmp_path: Path) -> None:
    """In the middle of a run, while tokens are under way, some of which vLLM drops then."""
    given = offered(np.random.default_rng(4), num_requests=60)
    run = drive(f"{own_policies}:random", given, tmp_path, asynchronous=True, caching=True)
    aborted, count = set[str](), 0

    def now_and_then() -> None:
        nonlocal count
        count += 1
        if count == 60:
            aborted.update(each.request_id for each in run.scheduler.running[:2])
            run.scheduler.finish_requests(aborted, RequestStatus.FINISHED_ABORTED)
        if count in (80, 120):
            assert run.scheduler.reset_prefix_cache(reset_running_requests=True)
        if not 80 <= count < 130:  # not as long as what is dropped is under way
            check_whole(run.scheduler)

    served = run.run(now_and_then)
    assert aborted
    others = [at for at in range(60) if str(at) not in aborted]
    assert [len(served.token_at_s[str(at)]) for at in others] == given.num_output_tokens[others].tolist()
