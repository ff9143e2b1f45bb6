"""Policies of the user's own in `simulate`: they learn of requests that have ended, say why they reject, and hold."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from aptsched import InputError
from aptsched.policies import FCFS
from commands import call
from engine import simulate

LEARNS = """
from dataclasses import replace
import numpy as np
from aptsched import Plan
from aptsched.policies import FCFS

class Learns:
    lengths, asked, held = {}, 0, 0

    def decide(self, view):
        assert not self.lengths.keys() & set(view.request_id.tolist())
        self.asked += 1
        if len(self.lengths) >= 3:
            mean = sum(self.lengths.values()) / len(self.lengths)
            rows = np.arange(len(view.request_id))
            why = [f"{len(self.lengths)} have ended, of {mean:g} tokens in the mean"] * len(rows)
            return Plan(reject=rows, reject_reasons=why)
        if self.asked % 3 == 0 and view.running.any():
            self.held += 1
            return Plan()
        return FCFS().decide(view)

    def on_record(self, record):
        if record.outcome.value == "finished":
            self.lengths[record.request_id] = record.num_output_tokens
"""
FAILS = """
class Fails(Learns):
    def on_record(self, record):
        raise ValueError("forgot")
"""
WORK = ["simulate", "--workload", "humaneval", "--num-requests", "8", "--rate", "20", "--jobs", "1"]


def test_a_policy_rejects_by_what_it_has_learned_and_holds_what_runs(tmp_path: Path) -> None:
    """From the third that is finished on the others are given up, and their reason has the mean length of those."""
    (tmp_path / "mine.py").write_text(LEARNS)
    assert call(*WORK, "--policy", f"{tmp_path}/mine.py:Learns", "--out", str(tmp_path / "out")) == 0
    with (tmp_path / "out" / "requests.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    finished = [row for row in rows if row["outcome"] == "finished"]
    rejected = [row for row in rows if row["outcome"] == "rejected"]
    assert len(finished) + len(rejected) == 8 and len(finished) >= 3 and rejected
    mean = sum(int(row["num_tokens"]) for row in finished) / len(finished)
    reason = f"given up by the policy: {len(finished)} have ended, of {mean:g} tokens in the mean"
    assert {row["reason"] for row in rejected} == {reason}
    assert {row["num_preemptions"] for row in rows} == {"0"}


def test_a_policy_that_fails_when_it_is_told_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the place, as where it decides."""
    (tmp_path / "mine.py").write_text(LEARNS + FAILS)
    assert call(*WORK, "--policy", f"{tmp_path}/mine.py:Fails") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "Fails raised ValueError at " in err and err.rstrip().endswith("forgot")


@pytest.mark.parametrize("name", ["wanted_forms", "on_record", "decide"])
def test_a_property_of_a_policy_that_fails_is_one_message(name: str) -> None:
    """With the place, before anything is served."""

    def fail(policy: object) -> object:
        raise ValueError("not yet")

    policy: Any = type("Unready", (FCFS,), {name: property(fail)})()
    with pytest.raises(InputError, match=r"policy: Unready raised ValueError at .*test_own_policies.*: not yet$"):
        simulate(workload="humaneval", num_requests=2, policy=policy)


def test_a_policy_that_cannot_be_sent_to_another_process_is_one_message() -> None:
    """Before any is started; one process serves it."""
    local = type("Local", (FCFS,), {})()
    asked: dict[str, Any] = {"workload": "humaneval", "num_requests": 2, "policy": ["fcfs", local]}
    with pytest.raises(InputError, match=r"^jobs: 2 is not accepted, as policy Local cannot be sent to .*; 1 is$"):
        simulate(**asked, jobs=2)
    assert simulate(**asked, jobs=1).complete
