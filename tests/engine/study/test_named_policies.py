"""Policies of a study: names, classes and objects become policies that each run gets anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aptsched import CacheForm, InputError, Plan, View
from aptsched.policies import FCFS, AptServe
from aptsched.scheduling.wanted_forms import wanted_forms
from engine.study.named_policies import Policies, by_name, named_policies


@dataclass
class Counting:
    """First come, first served, and how often it decided."""

    num_decisions: int = 0
    rule: FCFS = field(default_factory=FCFS)

    def decide(self, view: View) -> Plan:
        self.num_decisions += 1
        return self.rule.decide(view)


class Failing:
    """Cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("no licence")

    def decide(self, view: View) -> Plan:
        raise AssertionError


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("fcfs", ["fcfs"]),
        ("fcfs, aptserve:forms=kv", ["fcfs", "aptserve:forms=kv"]),
        (["fcfs,sjf", "fcfs"], ["fcfs", "sjf"]),
        (FCFS, ["FCFS"]),
        ([AptServe(forms="kv"), "fcfs", Counting], ["AptServe", "fcfs", "Counting"]),
        ({"mine": Counting(), "ours": "aptserve"}, ["mine", "ours"]),
    ],
)
def test_names(given: Policies, names: list[str]) -> None:
    """Text is its own name, a class and an object have that of the class, and a mapping says it."""
    assert list(by_name(given)) == names


def test_of_an_object_each_run_gets_a_copy() -> None:
    """What a policy remembers is of one run alone, and the user's object stays as it is."""
    mine = Counting()
    (policy,) = named_policies(mine)
    first, second = policy.make(), policy.make()
    assert first is not second and mine.num_decisions == 0


def test_what_a_policy_of_ones_own_wants_is_heard() -> None:
    """Forms are offered to it as to one of ours; and ours stay what they are, given as objects too."""

    class Hidden(Counting):
        wanted_forms = (CacheForm.HIDDEN,)

    own, plain, ours = (policy.make() for policy in named_policies([Hidden, Counting, AptServe()]))
    assert [tuple(wanted_forms(policy)) for policy in (own, plain)] == [(CacheForm.HIDDEN,), ()]
    assert isinstance(ours, AptServe)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "policy: nothing is given; at least one is needed"),
        (" , ", "policy: nothing is given; at least one is needed"),
        ([Counting(), Counting()], "policy: two are named 'Counting'; a mapping"),
        ({"a,b": FCFS()}, "policy: the name 'a,b' is not accepted; text without commas is"),
        (object(), "policy: 'object' does not decide; what has `decide"),
        ([3], "policy: 'int' does not decide"),
        ("best", "policy: 'best' is not known; fcfs, vllm-v1"),
        (Failing, "policy: Failing raised RuntimeError at "),
        ("aptserve:select=core", "select: 'core' is not accepted; greedy is"),
        ("shed(fcfs,sarathi)", "policy: 'shed(fcfs' has a parenthesis without its other one; each policy stands alone"),
        ("sjf", "policy: sjf sees the true output lengths"),
    ],
)
def test_what_is_no_policy(given: Policies, message: str) -> None:
    """One message says what is accepted, before anything runs."""
    with pytest.raises(InputError) as caught:
        named_policies(given)
    assert message in str(caught.value)


def test_a_file_is_named_as_it_is_given(tmp_path: Path) -> None:
    """So that results say where the policy came from."""
    (tmp_path / "mine.py").write_text("class Mine:\n    def decide(self, view): ...\n")
    assert [policy.name for policy in named_policies(f"{tmp_path}/mine.py:Mine")] == [f"{tmp_path}/mine.py:Mine"]
