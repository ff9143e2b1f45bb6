"""Times fitted to the iterations of a run on the computed clock, whose true cost is not linear."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np
import pytest

from aptsched.policies.fitted import Fitted
from aptsched.policies.named import load_policy
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.view import View, derived
from engine.loop.clock import SchedulingTime
from engine.models.known_models import MODELS
from engine.simulator.believed import believed
from engine.simulator.cost import Cost, by_roofline
from engine.simulator.gpus import GPUS
from engine.simulator.work import Amount, Work
from simulated import COST, Served, replay_of, serve


@dataclass
class Shown:
    """A policy that keeps the times it is shown."""

    policy: Policy
    times: list[IterationTime] = field(default_factory=list)

    def decide(self, view: View) -> Plan:
        """The policy's plan."""
        self.times.append(view.times)
        return self.policy.decide(view)


ROOFLINE = by_roofline(MODELS["opt-13b"], GPUS["a100-80gb"])


def served_by(name: str, cost: Cost = COST) -> tuple[Served, list[IterationTime]]:
    """A hundred requests of several hundred tokens, and the times that were shown in each iteration."""
    rng = np.random.default_rng(3)
    lengths = [(int(prompt), int(output)) for prompt, output in rng.integers([50, 20], [1500, 200], (100, 2))]
    shown = Shown(load_policy(name))
    served = serve(Fitted(shown), replay_of(lengths, np.cumsum(rng.exponential(0.4, 100)).tolist()), 910, cost=cost)
    return served, shown.times


def predicted_s(view: View, plan: Plan, times: IterationTime) -> float:
    """Seconds of the plan by these times, all of it in KV form."""
    cached = view.num_cached[plan.request]
    decodes = int(((cached > 0) & (plan.num_tokens == 1)).sum())
    return times.predict(int(plan.num_tokens.sum()), int(cached.sum()), num_decodes=decodes)


@pytest.mark.parametrize("cost", [COST, ROOFLINE], ids=["fits", "roofline"])
@pytest.mark.parametrize("name", ["sarathi", "vllm-v1", "fcfs"])
def test_fitted_times_are_nearer_than_those_believed(name: str, cost: Cost) -> None:
    """The mean relative error is smaller, and at most half where prompts are fed, once a quarter of the run is over."""
    served, shown = served_by(name, cost)
    errors = np.array(
        [
            [predicted_s(view, plan, each) / iteration.duration_s - 1 for each in (times, believed(cost))]
            for view, plan, iteration, times in zip(
                served.seen.views, served.seen.plans, served.iterations, shown, strict=True
            )
        ]
    )
    prompts = np.array([iteration.num_prefill_tokens > 0 for iteration in served.iterations])
    later = np.arange(len(errors)) > len(errors) // 4
    fitted, prior = np.abs(errors[later]).mean(axis=0)
    assert fitted < prior
    fitted, prior = np.abs(errors[later & prompts]).mean(axis=0)
    assert fitted < prior / 2


@dataclass(frozen=True)
class Linear:
    """Passes whose time is linear in what they do, but for what a prompt adds."""

    def seconds(self, work: Work) -> Amount:
        """Seconds of each iteration."""
        prompts = work.prefill_tokens > 0
        return (
            0.015 + 3e-3 * prompts + 9e-5 * work.prefill_tokens + 2e-4 * work.decode_seqs + 3e-7 * work.context_tokens
        )


@dataclass
class Misled:
    """A policy that is told times which are half of what is believed, by which it then begins."""

    policy: Policy

    def decide(self, view: View) -> Plan:
        """The policy's plan."""
        half = {name: value / 2 for name, value in asdict(view.times).items()}
        return self.policy.decide(derived(view, times=IterationTime(**half)))


def test_times_that_are_linear_are_found_in_a_run() -> None:
    """Whatever it begins with: the second half of the iterations are predicted within 2%."""
    rng, shown = np.random.default_rng(5), Shown(load_policy("sarathi"))
    lengths = [(int(prompt), int(output)) for prompt, output in rng.integers([50, 20], [1500, 200], (100, 2))]
    replay = replay_of(lengths, np.cumsum(rng.exponential(0.4, 100)).tolist())
    free = SchedulingTime(0.0, 0.0)
    served = serve(Misled(Fitted(shown)), replay, 910, cost=Cost(Linear(), 0.0, 0.0, "for tests"), scheduling=free)
    seen = [*zip(served.seen.views, served.seen.plans, served.iterations, shown.times, strict=True)]
    for view, plan, iteration, times in seen[len(seen) // 2 :]:
        assert predicted_s(view, plan, times) == pytest.approx(iteration.duration_s, rel=0.02)


def test_times_begin_as_they_are_believed() -> None:
    """The first decision has seen no iteration, the second one that began a prompt."""
    shown = served_by("sarathi")[1]
    assert shown[0] == believed(COST) != shown[1]
