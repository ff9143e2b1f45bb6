"""Values of policies' options that nobody means: each is accepted, or refused by the policy and option it is of."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from aptsched.policies.named import CLASSES, class_of, load_policy
from aptsched.policies.oracle import TrueLengths
from aptsched.support.errors import InputError
from simulated import replay_of, simulate

ORACLE = TrueLengths(np.arange(3), np.ones(3, np.int64))
OPTIONS = [
    (name, each)
    for name in CLASSES
    for each in fields(class_of(name))  # type: ignore[arg-type]
    if each.init and each.name != "oracle"
]
ODD = ["0", "-1", "2147483648", "1" + "0" * 20, "1" + "0" * 5000, "nan", "-inf", "1e309", "-5e-324", "1.5", "", "abc"]
ODD += ["1_000", "\u0663", "0x10", " 1", "1/2", "on", "None", "n" * 5000, "new\nline", "\x1b[31m", "\ud800", "a=b"]
REPLAY = replay_of([(40, 6), (1, 9), (33, 1), (60, 12)] * 3, [0.01 * i for i in range(12)])


def refusal(text: str) -> str | None:
    """Why a policy is refused; None where it is accepted."""
    try:
        load_policy(text, oracle=ORACLE)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", CLASSES)
def test_an_odd_value_is_accepted_or_refused_by_its_option(name: str) -> None:
    """By one message that begins with the policy and the option."""
    for of, option in OPTIONS:
        for value in ODD if of == name else []:
            refused = refusal(f"{name}:{option.name}={value}")
            assert refused is None or refused.startswith(f"policy {name}: {option.name}: ")


WHOLE = [(name, each.name) for name, each in OPTIONS if type(each.default) is int]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "option"), WHOLE)
def test_an_extreme_whole_number_is_refused_or_serves_all(name: str, option: str) -> None:
    """From 0 to beyond what 64 bits hold: a record for each request."""
    for value in (0, 1, 7, 2**31, 2**63 - 1, 2**64):
        try:
            served = simulate(f"{name}:{option}={value}", REPLAY, num_blocks=12, num_host_blocks=12)
        except InputError:
            continue
        assert len(served.records) == len(REPLAY)
