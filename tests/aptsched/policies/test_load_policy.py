"""Policies by name with options, and from files of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aptsched import InputError, greedy
from aptsched.policies.aptserve import AptServe
from aptsched.policies.fcfs import FCFS
from aptsched.policies.named import built_in, load_policy
from aptsched.policies.oracle import TrueLengths
from exact_select import core
from views import Seen, view_of

OWN = """
from __future__ import annotations

from dataclasses import dataclass

from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.view import View


@dataclass
class Nothing:
    calls: int = 0

    def decide(self, view: View) -> Plan:
        self.calls += 1
        return Plan()


class Needs:
    def __init__(self, what):
        pass


ready = Nothing(7)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file with policies of one's own."""
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_names_alone_are_the_defaults() -> None:
    """Every built-in policy can be had by its name."""
    assert load_policy("fcfs") == FCFS() and load_policy("aptserve") == AptServe()
    oracle = TrueLengths(np.array([0]), np.array([1]))
    assert all(type(load_policy(name, oracle=oracle)) is policy for name, policy in built_in().items())


def test_options() -> None:
    """Values have the type of the default; on is the value of a flag without one."""
    assert load_policy("fcfs:watermark=0.05") == FCFS(0.05)
    text = "aptserve:order=fcfs:forms=kv:promote=off:fallback=decaying"
    assert load_policy(text) == AptServe(order="fcfs", forms="kv", promote=False, fallback="decaying")
    assert load_policy("aptserve:promote") == AptServe(promote=True)


def test_select_is_looked_up() -> None:
    """The option names one of the answers that are handed in."""
    answers = {"greedy": greedy, "core": core}
    assert load_policy("aptserve:select=core", answers) == AptServe(select=core)
    assert load_policy("aptserve:select=greedy") == AptServe()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", ["fcfs", "aptserve", "path.py:Name"]),
        ("apt", ["'apt'", "fcfs", "aptserve"]),
        ("aptserve:kv", ["'kv'", "select", "order", "forms", "fallback", "promote", "watermark"]),
        ("aptserve:forms=all", ["forms", "'all'", "hybrid", "kv", "hidden"]),
        ("aptserve:forms", ["forms", "no value"]),
        ("aptserve:forms=kv:forms=kv", ["forms", "twice"]),
        ("aptserve:select=core", ["select", "'core'", "greedy"]),
        ("aptserve:promote=maybe", ["promote", "'maybe'", "on", "off"]),
        ("fcfs:watermark=x", ["watermark", "'x'", "a number"]),
        ("fcfs:watermark=2", ["policy fcfs: watermark: 2.0 is not accepted; "]),
        ("shed(fcfs:watermark=2)", ["policy fcfs: watermark: 2.0 is not accepted; "]),
        ("aptserve:charge=x", ["policy aptserve: charge: 'x' is not accepted; paper, lifetime are"]),
        ("sarathi:chunk_tokens=1_000", ["policy sarathi: chunk_tokens: '1_000' is not accepted; a whole number is"]),
        ("sarathi:chunk_tokens=\u0663", ["policy sarathi: chunk_tokens: '\u0663' is not accepted; a whole number is"]),
        ("andes:horizon_s=1_0.5", ["policy andes: horizon_s: '1_0.5' is not accepted; a number is"]),
        ("shed(fcfs", ["'shed(fcfs' has a parenthesis without its other one", "as in shed(fcfs),shed(sarathi)"]),
    ],
)
def test_what_is_not_known_lists_what_there_is(text: str, named: list[str]) -> None:
    """One message that names the field, its value and what is accepted."""
    with pytest.raises(InputError) as error:
        load_policy(text)
    assert all(word in str(error.value) for word in named)


def test_own_file(own: Path) -> None:
    """A class of one's own is made and decides."""
    policy = load_policy(f"{own}:Nothing")
    assert len(policy.decide(view_of([Seen(10)])).request) == 0
    assert policy.calls == 1  # type: ignore[attr-defined]


def test_own_object(own: Path) -> None:
    """An object of one's own is taken as it is."""
    assert load_policy(f"{own}:ready").calls == 7  # type: ignore[attr-defined]


def test_own_name_that_is_not_there(own: Path) -> None:
    """The message lists what decides in that file."""
    with pytest.raises(InputError, match=r"'Missing'.*with a method `decide`; what has one there: Nothing, ready"):
        load_policy(f"{own}:Missing")


def test_own_class_that_needs_more(own: Path) -> None:
    """What making it raises is in the message."""
    with pytest.raises(InputError, match=r"Needs of .* cannot be made: TypeError"):
        load_policy(f"{own}:Needs")


def test_own_file_that_is_not_there(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(InputError, match=r"no file .*gone\.py"):
        load_policy(f"{tmp_path}/gone.py:Name")


@pytest.mark.parametrize(
    ("source", "error"), [("def f(:", "SyntaxError"), ("import missing_package", "ModuleNotFound")]
)
def test_own_file_that_fails(tmp_path: Path, source: str, error: str) -> None:
    """What its code raises is in the message."""
    path = tmp_path / "broken.py"
    path.write_text(source)
    with pytest.raises(InputError, match=error):
        load_policy(f"{path}:Name")
