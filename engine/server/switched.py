"""A policy that is another one from some decision on."""

from __future__ import annotations

from collections.abc import Sequence

from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan import Plan, Policy, decided, observer_of
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import View
from aptsched.scheduling.wanted_forms import wanted_forms
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.study.serving import NamedPolicy


class Switched:
    """Decides as one of several policies, the first of them to begin with; each switch makes a new one.

    A policy that begins while requests run sees them as they are; what others remembered of them it does not know.

    Parameters
    ----------
    policies : sequence of NamedPolicy

    Attributes
    ----------
    names : list of str
    name : str
        Of the one that decides.
    """

    def __init__(self, policies: Sequence[NamedPolicy]) -> None:
        self._named = {policy.name: policy for policy in policies}
        self.names = list(self._named)
        self.wanted_forms: tuple[CacheForm, ...] = tuple(
            dict.fromkeys(form for policy in policies for form in wanted_forms(policy.make()))
        )
        self.name, self._policy = self.names[0], policies[0].make()

    def switch(self, name: str) -> None:
        """Have another one decide from the next decision on; called from any thread.

        Raises
        ------
        InputError
            None has that name.
        """
        if name not in self._named:
            raise InputError(f"policy: {shown(name)} is not accepted; one of {', '.join(self.names)} is")
        made: Policy = self._named[name].make()
        self.name, self._policy = name, made

    def decide(self, view: View) -> Plan:
        """The plan of the policy."""
        return decided(self._policy, view)

    def on_record(self, record: RequestRecord) -> None:
        """Passes on the record of a request that has ended."""
        if (observer := observer_of(self._policy)) is not None:
            observer(record)
