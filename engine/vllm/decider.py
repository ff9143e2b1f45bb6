"""The policy inside vLLM: it is asked, held to what it may say, and told who has ended."""

from __future__ import annotations

import time
from collections.abc import Callable

from aptsched.policies.named import load_policy
from aptsched.scheduling.plan import Plan, decided, means_holds, observer_of
from aptsched.scheduling.plan_check import check_plan
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View
from engine.vllm.figures import Figures
from engine.vllm.settings import Settings

MOST_FAILURES = 3  # that are told


class Decider:
    """Asks the policy for plans. One that fails must not end the requests of others: it has no plan then.

    Parameters
    ----------
    settings : Settings
    figures : Figures
    tell : callable
        Called with a text and the error when the policy fails, the first times.

    Attributes
    ----------
    means_holds : bool
        Whether the policy means what its plans say of later iterations (`Plan.holds`).
    """

    def __init__(self, settings: Settings, figures: Figures, tell: Callable[[str, Exception], object]) -> None:
        self.policy, self._figures, self._tell = load_policy(settings.policy), figures, tell
        self._observer, self.means_holds = observer_of(self.policy), means_holds(self.policy)
        self._num_failures = 0

    def plan(self, view: View) -> Plan | None:
        """A legal plan; None where the policy has failed."""
        started = time.perf_counter()
        try:
            plan = decided(self.policy, view)
            check_plan(plan, view)
        except Exception as error:
            self._fail(error)
            return None
        self._figures.decided(plan, time.perf_counter() - started)
        return plan

    def ended(self, record: RequestRecord) -> None:
        """Tells the policy who has ended, if it asks for that."""
        self._figures.ended(record)
        if self._observer is None:
            return
        try:
            self._observer(record)
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._figures.unsteered.labels("failed").inc()
        self._num_failures += 1
        if self._num_failures <= MOST_FAILURES:
            self._tell("the policy has failed, so vLLM decides alone this time: %s", error)
