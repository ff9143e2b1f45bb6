"""Objectives, tenants and priorities of single requests, from a trace to what policies see and results say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from aptsched import InputError
from aptsched.metrics.service import summarise
from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from aptsched.workload import Trace
from aptsched.workload.own_columns import OwnColumns
from engine import simulate
from proofs import search, verification

OWN = OwnColumns(
    slo_ttft_s=np.array([np.nan, 1e-6, 5.0]),
    slo_tpot_s=np.array([np.nan, np.nan, 0.25]),
    priority=np.array([0, -1, 2]),
    tenant=np.array([1, 0, 1]),
    tenants=("b", "a"),
)
TRACE = Trace([0.0, 0.0, 0.0], [30, 40, 50], [4, 5, 6], own=OWN)


class Noting:
    """First come, first served; notes what it has seen of each request."""

    seen: ClassVar[dict[int, tuple[Any, ...]]] = {}

    def decide(self, view: View) -> Plan:
        columns = (view.request_id, view.tenant, view.priority, view.slo_ttft_s, view.slo_tpot_s)
        for request_id, *own in zip(*(column.tolist() for column in columns), strict=True):
            self.seen[request_id] = tuple(own)
        return FCFS().decide(view)


def test_policies_see_what_requests_say() -> None:
    """As columns: tenant and priority as numbers, objectives of their own or those of all."""
    study = simulate(trace=TRACE, policy=[Noting], slo_ttft=2.0)
    assert Noting.seen == {0: (1, 0, 2.0, 1.0), 1: (0, -1, 1e-6, 1.0), 2: (1, 2, 5.0, 0.25)}
    rows = [(r.tenant, r.priority, r.slo.ttft_s, r.slo.tpot_s) for r in study.runs[0].records]
    assert dict(enumerate(rows)) == Noting.seen


def test_each_request_is_held_against_its_own_objectives() -> None:
    """The one of a microsecond misses, and so its tenant; the shares of a tenant are those of its requests alone."""
    study = simulate(trace=TRACE, policy="fcfs", slo="chat", rate=None)
    (run,) = study.runs
    assert [each.attained for each in run.by_tenant.values()] == [0.0, 1.0]
    assert list(run.by_tenant) == ["b", "a"] and run.metrics.attained == 2 / 3
    assert run.by_tenant["a"].attained == summarise([run.records[0], run.records[2]]).attained
    (replay,) = study.document["replays"]
    assert replay["tenants"] == ["b", "a"] and replay["num_own_slo"] == 2
    assert [(each["tenant"], each["num_requests"]) for each in study.document["by_tenant"]] == [("b", 1), ("a", 2)]
    assert "by tenant" in repr(study)


def test_a_single_objective_beside_a_preset_wins_and_it_is_said() -> None:
    """In the notices; the other one stays the preset's."""
    study = simulate(workload="sharegpt", num_requests=3, policy="fcfs", slo="chat", slo_tpot=0.5)
    assert study.document["replays"][0]["slo"] == {"ttft_s": 1.0, "tpot_s": 0.5}
    assert "--slo-tpot 0.5 in place of what --slo chat says." in study.document["notices"]


def test_a_preset_of_another_model_is_refused_before_anything_runs() -> None:
    """By the model that is simulated."""
    with pytest.raises(InputError, match="mlperf-server has no pair of 'opt-13b'"):
        simulate(workload="sharegpt", policy="fcfs", slo="mlperf-server")


def test_results_of_a_mix_hold(tmp_path: Path) -> None:
    """Its parts are tenants, whose shares the checker computes anew."""
    study = simulate(workload="humaneval:0.5,longbench:0.5", num_requests=20, rate=[1, 4], policy="fcfs,sarathi")
    document = study.write(tmp_path / "out")
    assert {entry["tenant"] for entry in document["by_tenant"]} == {"humaneval", "longbench"}
    sources, _ = search.find_results(tmp_path / "out")
    assert not [failure for source in sources for failure in verification.report(source, lambda _: None).failures]
