"""`shed` and `fitted` around policies of the user's own, in runs of `aptsched simulate`."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from aptsched.policies.fcfs import FCFS
from aptsched.policies.named import unwrapped
from aptsched.policies.shed import Shed
from aptsched.scheduling.record import SLO, Outcome
from commands import call
from engine.study.named_policies import named_policies
from engine.study.own_policy import OwnPolicy, own_within
from simulated import replay_of, serve, simulate

MINE = """
from aptsched import Plan
from aptsched.policies import FCFS

class Mine:
    ended = []

    def decide(self, view):
        return FCFS().decide(view)

    def on_record(self, record):
        self.ended.append(record.outcome.value)

class Fails(Mine):
    def decide(self, view):
        raise ValueError("not today")

class Illegal(Mine):
    def decide(self, view):
        return Plan(reject=[0])

class Nothing(Mine):
    def decide(self, view):
        return None

class Lists(Mine):
    def decide(self, view):
        return Plan([0], [1], [1])

class Beyond(Mine):
    def decide(self, view):
        return Plan(preempt=view.request_id + 99)

class Holds(Mine):
    def decide(self, view):
        return Plan(holds=1.5)
"""
AROUND = ["shed({})", "fitted({})", "fitted(shed({}))", "shed(fitted({}))"]
WORK = ["simulate", "--workload", "humaneval", "--num-requests", "80", "--rate", "60", "--jobs", "1"]


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """The path of a file with policies."""
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return str(path)


@pytest.mark.parametrize("around", ["shed({})", "fitted(shed({}))"])
def test_a_policy_of_ones_own_is_served_within_others_as_a_built_in_one(mine: str, tmp_path: Path, around: str) -> None:
    """FCFS from a file, and by name: the same requests are rejected, for the same reasons, others end when they did."""
    names = (around.format(f"{mine}:Mine"), around.format("fcfs"))
    rows = []
    for i, name in enumerate(names):
        out = tmp_path / str(i)
        options = ["--slo-ttft", "0.3", "--policy", name, "--out", str(out)]
        assert call(*WORK, *options) == 0
        with (out / "requests.csv").open(encoding="utf-8", newline="") as file:
            rows.append([{**row, "policy": ""} for row in csv.DictReader(file)])
    assert rows[0] == rows[1]
    reasons = {row["reason"] for row in rows[0] if row["outcome"] == "rejected"}
    assert reasons and all("its first token was due 0.3 s after its arrival" in reason for reason in reasons)
    assert any(row["outcome"] == "finished" for row in rows[0])


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("Fails", "not today"),
        ("Illegal", "mine.py, line 19"),
        ("Nothing", "NoneType is not accepted; a Plan is"),
        ("Lists", "request: list is not accepted"),
        ("Beyond", "preempt: row 99 is not accepted"),
        ("Holds", "holds: 1.5 is not accepted"),
    ],
)
def test_what_goes_wrong_within_is_one_message(
    mine: str, policy: str, told: str, around: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the place in the user's file."""
    assert call(*WORK, "--policy", around.format(f"{mine}:{policy}")) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and f"{policy}" in err and "mine.py" in err and told in err


def test_the_users_policy_is_found_within(mine: str) -> None:
    """However deep; a built-in one is none."""
    made = named_policies(f"shed(fitted({mine}:Mine)),shed(fcfs)")
    found = [own_within(policy.make()) for policy in made]
    assert isinstance(found[0], OwnPolicy) and found[1] is None
    assert unwrapped(f"shed(fitted({mine}:Mine))") == (["shed", "fitted"], f"{mine}:Mine")


def test_rejected_early_others_make_their_first_token() -> None:
    """Twenty prompts at once, of which so many are in time: the others are rejected, not served behind them."""
    replay = replay_of([(1000, 3)] * 20, slo=SLO(1.0, 1.0))
    shed, plain = (serve(policy, replay, 2000) for policy in (Shed(FCFS()), FCFS()))
    first_s = [record.token_at_s[0] for record in shed.records if record.outcome is Outcome.FINISHED]
    assert 3 < len(first_s) < 20 and max(first_s) <= 1.1
    assert max(record.token_at_s[0] for record in plain.records) > 1.5
    assert sum(record.outcome is Outcome.REJECTED for record in shed.records) == 20 - len(first_s)


def test_nobody_is_rejected_who_is_in_time() -> None:
    """Under loose objectives shed changes nothing, to the last bit."""
    rng = np.random.default_rng(0)
    lengths = [(int(prompt), int(output)) for prompt, output in rng.integers(1, 60, (40, 2))]
    replay = replay_of(lengths, np.cumsum(rng.exponential(0.1, 40)).tolist(), SLO(1000.0, 1.0))
    for name in ("fcfs", "vllm-v1", "aptserve"):
        plain, shed = (simulate(each, replay, 30).timeline() for each in (name, f"shed({name})"))
        assert repr(plain) == repr(shed)
