"""Which forms policies ask for, and who gives them: studies and engines alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from aptsched.policies.aptserve import AptServe
from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.view import View
from aptsched.scheduling.wanted_forms import lossy_wanted, wanted_forms
from aptsched.support.errors import InputError
from engine.loop.limits import Limits
from engine.models.known_models import MODELS
from engine.models.model import load_model
from engine.session.engine import Engine
from engine.simulator.gpus import GPUS
from engine.study.offered_forms import unused_forms, with_wanted
from engine.study.serving import NamedPolicy
from engine.study.simulation import Setup, simulated_server
from tiny_model import LLAMA, save_model

INT8 = AptServe(forms="kv+int8")


@dataclass
class Asks:
    """A policy of one's own."""

    wanted_forms: object = ()

    def decide(self, view: View) -> Plan:
        return FCFS().decide(view)


def test_a_policy_of_ones_own_may_ask() -> None:
    """By an attribute; who has none asks for nothing."""
    own: list[Policy] = [FCFS(), Asks((CacheForm.KV, CacheForm.INT8))]
    assert [wanted_forms(policy) for policy in own] == [(), (CacheForm.KV, CacheForm.INT8)]


@pytest.mark.parametrize("wanted", ["int8", ["int8"], 3, [0], [CacheForm.KV, None], [[1]], [np.array([1, 2])]])
def test_what_is_no_form_is_one_message(wanted: object) -> None:
    """It shows the value, and the forms that there are."""
    with pytest.raises(InputError, match=r"^wanted_forms: .* is not accepted; a tuple of CacheForm.KV, .*KEYS is$"):
        wanted_forms(Asks(wanted))


def test_a_form_that_is_not_held_is_refused() -> None:
    """By name, with those that are."""
    with pytest.raises(InputError, match=r"^wanted_forms: int8 is not accepted; this server holds kv, hidden$"):
        lossy_wanted(INT8, {})


def test_a_server_has_the_lossy_forms_that_its_policies_ask_for() -> None:
    """Of fp16, with heads of 128: 65/128; without such a policy none."""
    server = simulated_server(Setup(MODELS["opt-13b"], GPUS["a100-40gb"]), Limits())
    ours = [NamedPolicy("fcfs", FCFS), NamedPolicy("aptserve", AptServe)]
    assert with_wanted(server, ours).lossy_ratios == {}
    assert with_wanted(server, [*ours, NamedPolicy("int8", lambda: INT8)]).lossy_ratios == {
        CacheForm.INT8: Fraction(65, 128)
    }


def test_a_form_that_takes_no_less_than_kv_is_said_to_be_unused() -> None:
    """Where somebody asked for it: one line."""
    server = simulated_server(Setup(MODELS["opt-13b"], GPUS["a100-40gb"]), Limits())
    server = replace(server, lossy_ratios={CacheForm.INT8: Fraction(1)})
    assert unused_forms([NamedPolicy("aptserve", AptServe)], server) == []
    (line,) = unused_forms([NamedPolicy("int8", lambda: INT8)], server)
    assert line.startswith("The int8 form is never used: its ratio to KV is 1")


@pytest.mark.parametrize("policy", [None, AptServe(), INT8])
def test_an_engine_offers_what_its_policy_asks_for(policy: Policy | None, tmp_path: Path) -> None:
    """A lossy form to none else."""
    model = load_model(save_model(tmp_path / "llama", LLAMA))
    assert Engine(model, policy, num_blocks=8).pool.cache.offers(CacheForm.INT8) == (policy is INT8)
