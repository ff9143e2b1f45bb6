"""The next iteration is decided while one runs: tokens are the same, and each iteration is decided once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.fcfs import FCFS
from aptsched.policies.named import load_policy
from aptsched.problem.batch_problem import BatchProblem
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.view import View, all_read
from aptsched.support.errors import InputError
from engine.loop.limits import Limits
from engine.loop.loop import Loop
from engine.loop.worker import Worker
from engine.runner.torch_executor import TorchExecutor
from engine.session.ahead import Ahead, of_rows
from engine.session.engine import Engine
from engine.session.session import Session
from engine.session.vocabulary import Vocabulary
from engine.state.batch import Batch, Step
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams
from hash_executor import HashExecutor
from live import CONFIG, exact_model
from random_policy import RandomPolicy

MODEL = exact_model()
POLICIES = ("fcfs", "vllm-v1", "sarathi", "aptserve", "bid-price", "fastserve", "vtc", "andes", "priority")


@dataclass
class Noting:
    """Another policy, which notes the views that it is asked about.

    Attributes
    ----------
    policy : Policy
    views : list of View
    """

    policy: Policy
    views: list[View] = field(default_factory=list)

    def decide(self, view: View) -> Plan:
        """The other one's plan."""
        self.views.append(all_read(view))
        return self.policy.decide(view)


class Slow:
    """An executor that starts a batch, and runs it when it is waited for; it notes both."""

    def __init__(self, executor: TorchExecutor) -> None:
        self.executor, self.order = executor, list[str]()

    def run(self, batch: Batch) -> Step:
        """Start and wait."""
        return self.start(batch)()

    def start(self, batch: Batch) -> Callable[[], Step]:
        """Nothing is computed before it is waited for."""
        self.order.append("start")

        def finish() -> Step:
            self.order.append("finish")
            return self.executor.run(batch)

        return finish


def requests(seed: int, stops: bool) -> list[Request]:
    """Prompts of any length, some of whose outputs end by a token."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(6):
        ids = rng.integers(0, CONFIG.vocab_size, int(rng.integers(1, 30)))
        own = tuple(rng.integers(0, CONFIG.vocab_size, CONFIG.vocab_size // 4).tolist()) if stops and number % 2 else ()
        params = SamplingParams(max_tokens=int(rng.integers(1, 14)), stop_token_ids=own)
        found.append(Request(number, 0.0, len(ids), params, prompt_token_ids=ids))
    return found


def served(policy: Policy, given: list[Request], executor: Any, is_ahead: bool) -> list[list[int]]:
    """The outputs of requests."""
    pool = BlockPool(14, CONFIG.cache(), 8)
    ahead = Ahead(executor) if is_ahead else None
    limits = Limits(40, 4, CONFIG.max_positions)
    worker = Worker(policy, pool, ahead or executor, lambda record: None, limits=limits, skip=ahead)
    assert Loop(worker).run(given) == ""
    pool.check_integrity()
    assert pool.free_blocks == pool.num_blocks
    return [request.output_token_ids for request in given]


def executor() -> TorchExecutor:
    """One for a run."""
    return TorchExecutor(MODEL.decoder, 14, 8)


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_any_legal_plan_gives_the_same_tokens_ahead(seed: int, stops: bool) -> None:
    """Where requests end by their lengths, by tokens, or are preempted, swapped, converted, fed in chunks."""
    found = [
        served(RandomPolicy(np.random.default_rng(seed)), requests(seed, stops), executor(), is_ahead)
        for is_ahead in (False, True)
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_gives_the_same_tokens_ahead(name: str) -> None:
    """By name, with little memory."""
    found = [
        served(load_policy(name), requests(seed, True), executor(), is_ahead)
        for seed in (0, 1)
        for is_ahead in (False, True)
    ]
    assert found[0] == found[1] and found[2] == found[3]


def test_a_decision_is_made_while_an_iteration_runs_and_once_for_each() -> None:
    """It sees what is known without the tokens: one more of each request, and nobody who is over by then."""
    slow, policy = Slow(executor()), Noting(FCFS())
    ordered: list[str] = []
    decide = policy.decide

    def noted(view: View) -> Plan:
        ordered.append(f"decide {len(slow.order)}")
        return decide(view)

    policy.decide = noted  # type: ignore[method-assign]
    params = [SamplingParams(max_tokens=count, ignore_eos=True) for count in (2, 4)]
    ids = np.arange(5)
    given = [Request(i, 0.0, 5, own, prompt_token_ids=ids) for i, own in enumerate(params)]
    served(policy, given, slow, True)
    assert slow.order == ["start", "finish"] * 4
    assert ordered == ["decide 0", "decide 1", "decide 3", "decide 5"]
    assert [view.num_tokens.tolist() for view in policy.views] == [[5, 5], [6, 6], [7], [8]]
    assert [view.num_cached.tolist() for view in policy.views] == [[0, 0], [5, 5], [6], [7]]
    assert [view.free_blocks for view in policy.views] == [14, 12, 13, 13]


def test_who_ends_by_a_token_is_left_out_of_the_plan() -> None:
    """And its blocks are free; the policy is not asked again."""
    first = served(FCFS(), requests(4, False), executor(), False)
    stop = next(ids for ids in first if len(ids) > 3)[1]
    expected = [ids[: ids.index(stop) + 1] if stop in ids else ids for ids in first]
    policy, plain = Noting(FCFS()), Noting(FCFS())
    for noting in (policy, plain):
        given = requests(4, False)
        for request in given:
            request.params = replace(request.params, stop_token_ids=(stop,))
        assert served(noting, given, executor(), noting is policy) == expected
    assert len(policy.views) <= len(plain.views) + 1


def test_a_plan_without_some_rows_has_no_problem() -> None:
    """Rows move up, with what stands beside them."""
    plan = Plan(
        request=np.array([3, 0, 2]),
        num_tokens=np.array([1, 5, 7]),
        form=np.array([1, 2, 1]),
        preempt=np.array([1]),
        convert=np.array([4, 0]),
        convert_to=np.array([1, 2]),
        reject=np.array([5, 1]),
        reject_reasons=["five", "one"],
        problem=BatchProblem([[1.0]], [[1]], 1),
        candidates=np.array([3]),
    )
    found = of_rows(plan, np.array([True, False, True, True, False, True]))
    assert found.request.tolist() == [2, 0, 1]
    assert found.num_tokens.tolist() == [1, 5, 7] and found.form.tolist() == [1, 2, 1]
    assert not len(found.preempt)
    assert found.convert.tolist() == [0] and found.convert_to.tolist() == [2]
    assert found.reject.tolist() == [3] and found.reject_reasons == ["five"]
    assert found.problem is None and not len(found.candidates)


class Failing:
    """A policy that decides twice, and then no more."""

    def __init__(self) -> None:
        self.num_asked = 0

    def decide(self, view: View) -> Plan:
        """All that remain, at first."""
        self.num_asked += 1
        if self.num_asked > 2:
            raise RuntimeError("no more")
        rows = np.arange(len(view.num_tokens))
        return Plan(rows, view.num_remaining, np.full(len(rows), int(CacheForm.KV)))


def test_what_a_policy_raises_comes_after_the_tokens_of_the_running_iteration() -> None:
    """As if it had been asked then."""
    ids = np.arange(5)
    given = [Request(0, 0.0, 5, SamplingParams(max_tokens=9, ignore_eos=True), prompt_token_ids=ids)]
    with pytest.raises(RuntimeError, match="no more"):
        served(Failing(), given, executor(), True)
    assert len(given[0].output_token_ids) == 2


def test_an_engine_decides_ahead_where_it_is_asked_to() -> None:
    """Its texts are those of one that does not; an abort in between takes its request alone."""
    prompts = [[3, 4, 5], [6, 7], [8] * 20]
    params = SamplingParams(max_tokens=10, ignore_eos=True)
    plain, ahead = (Engine(MODEL, num_blocks=14, overlap=overlap) for overlap in (False, True))
    expected = [each.token_ids for each in plain.generate(prompts, params)]
    assert [each.token_ids for each in ahead.generate(prompts, params)] == expected
    first, *others = ahead.session.add_all(prompts, params)
    first.abort()
    assert [each.result().token_ids for each in others] == expected[1:]
    ahead.session.close()


def test_an_executor_that_cannot_go_on_by_itself_is_refused() -> None:
    """By one message."""
    pool, vocabulary = BlockPool(14, CONFIG.cache()), Vocabulary(CONFIG.vocab_size, None, frozenset())
    with pytest.raises(InputError, match=r"^overlap: True is not accepted with an executor of type HashExecutor; "):
        Session(FCFS(), pool, HashExecutor(14, CONFIG.cache()), vocabulary, overlap=True)
