"""Policies as the command line names them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from aptsched.cli.instance_options import several
from aptsched.support.own_code import OWN, blamed

CORE_WORK = 30_000  # some milliseconds
SELECT = ("greedy", "core")

if TYPE_CHECKING:
    from aptsched.policies.oracle import TrueLengths
    from aptsched.problem.batch_problem import BatchProblem
    from aptsched.problem.selection import Selection
    from aptsched.scheduling.plan import Plan, Policy
    from aptsched.scheduling.view import View
    from engine.study.serving import NamedPolicy


class PolicyCommand(TyperCommand):
    """A command that has `--policy`: its help ends with the list of policies, which is made from the policies."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then the policies."""
        from aptsched.policies.catalogue import SYNTAX, catalogue

        super().format_options(ctx, formatter)
        with formatter.section("Policies"):
            formatter.write_dl([(entry.name, entry.text) for entry in catalogue(SELECT)])
            formatter.write_paragraph()
            formatter.write_text(SYNTAX)


def named_policies(given: Sequence[str], oracle: TrueLengths | None = None) -> list[NamedPolicy]:
    """The policies of `--policy`, each once; each is made once here, to see whether it can be.

    Only with an oracle there are those that need one.
    """
    from engine.study.serving import NamedPolicy

    policies = [NamedPolicy(name, partial(_make, name, oracle)) for name in dict.fromkeys(several("policy", given))]
    for policy in policies:
        policy.make()
    return policies


def _make(name: str, oracle: TrueLengths | None) -> Policy:
    from aptsched.knapsack.greedy import greedy
    from aptsched.policies.named import load_policy

    policy = load_policy(name, dict(zip(SELECT, (greedy, _core), strict=True)), oracle)
    return _Named(name, policy) if OWN.fullmatch(name) else policy


class _Named:
    """A policy of the user's: what it raises is one message that says where.

    Attributes
    ----------
    place : str
        Where it decides, for a message that ends so; empty where that is not known.
    """

    def __init__(self, name: str, policy: Policy) -> None:
        self._name, self._policy = name, policy
        code = getattr(getattr(policy.decide, "__func__", policy.decide), "__code__", None)
        self.place = "" if code is None else f" (decided at {code.co_filename}, line {code.co_firstlineno})"

    def decide(self, view: View) -> Plan:
        """The plan of the policy."""
        with blamed("policy", self._name):
            plan = self._policy.decide(view)
        if inspect.iscoroutine(plan):
            plan.close()  # which is no plan either; Python would say so a second time
        return plan


def _core(problem: BatchProblem) -> Selection:
    """The exact optimum, or at a count of work that keeps it within an iteration the best found."""
    from solvers import core

    solution = core.solve(problem, max_work=CORE_WORK)
    if solution.selection is None:
        assert solution.overload is not None
        raise solution.overload
    return solution.selection
