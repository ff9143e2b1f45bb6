"""`fitted` on a torch engine, whose iterations take what they take."""

from __future__ import annotations

from dataclasses import dataclass, field

from aptsched.policies.fitted import Fitted
from aptsched.policies.sarathi import Sarathi
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from engine.session.engine import Engine
from engine.state.sampling_params import SamplingParams
from live import exact_model

SLOW = IterationTime(fixed_s=1000.0, per_token_s=10.0, per_context_token_s=1.0)


@dataclass
class Watched:
    """Serves as Sarathi-Serve in small chunks, and keeps the times that it is shown."""

    times: list[IterationTime] = field(default_factory=list)

    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        self.times.append(view.times)
        return Sarathi(chunk_tokens=8).decide(view)


def test_a_live_engine_fits_the_times_of_its_own_iterations() -> None:
    """Told that an iteration takes a quarter of an hour, the policy sees so at first, and far less later."""
    watched = Watched()
    prompts, params = [list(range(5, 45)), [7, 8, 9], list(range(20))], SamplingParams(max_tokens=12, ignore_eos=True)
    fitting = Engine(exact_model(), Fitted(watched), num_blocks=20, times=SLOW).generate(prompts, params)
    plain = Engine(exact_model(), Sarathi(chunk_tokens=8), num_blocks=20).generate(prompts, params)
    assert [each.token_ids for each in fitting] == [each.token_ids for each in plain]
    assert watched.times[0] == SLOW
    assert watched.times[-1].predict(8) < SLOW.predict(8) / 2
