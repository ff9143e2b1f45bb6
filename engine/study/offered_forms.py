"""Which forms of cache the runs of a study are offered, and which they want in vain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from aptsched.scheduling.forms import unused_form
from aptsched.scheduling.wanted_forms import lossy_wanted, wanted_forms
from engine.study.serving import NamedPolicy, Server


def with_wanted(server: Server, policies: Iterable[NamedPolicy]) -> Server:
    """The server with only those lossy forms that any of the policies wants.

    Raises
    ------
    InputError
        One of them wants a lossy form that the server's executor cannot hold.
    """
    lossy = [lossy_wanted(policy.make(), server.lossy_ratios) for policy in policies]
    return replace(server, lossy_ratios={form: ratio for ratios in lossy for form, ratio in ratios.items()})


def unused_forms(policies: Iterable[NamedPolicy], server: Server) -> list[str]:
    """A notice for each form that a policy wants but that takes no less than KV, and so is never used."""
    wanted = {form for policy in policies for form in wanted_forms(policy.make())}
    ratios = server.cache.with_forms(server.lossy_ratios).ratios
    return [line for form, ratio in ratios.items() if form in wanted for line in unused_form(form, ratio)]
