"""Processes of a simulation end with it, however it ends, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from processes import stuck_simulation

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads states of processes from /proc")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_policy_that_never_ends_is_stopped_and_the_rest_is_kept(tmp_path: Path, number: int, code: int) -> None:
    """Also a policy that sleeps, in each of two processes; what is said counts what had ended."""
    with stuck_simulation(tmp_path, done="fcfs") as simulation:
        returned, out, err = simulation.signal(number)
        simulation.wait_for_workers()
    assert (returned, err) == (code, "interrupted: 1 of 3 runs were done\n")
    assert "of 20 requests had ended" in " ".join(out.split())
    document = json.loads((simulation.out / "results.json").read_text())
    assert not document["complete"] and [row["complete"] for row in document["summary"]] == [True, False, False]
    assert [row["reason"] for row in document["summary"]] == [None, "interrupted", "interrupted"]
    assert not list(simulation.out.glob(".*"))


def test_workers_end_with_a_process_that_is_killed(tmp_path: Path) -> None:
    """With SIGKILL, which it cannot see; what they were writing is gone."""
    with stuck_simulation(tmp_path) as simulation:
        assert len(list(simulation.out.glob(".*.tmp"))) == 2
        returned, _, _ = simulation.signal(signal.SIGKILL)
        simulation.wait_for_workers()
    assert returned == -signal.SIGKILL and list(simulation.out.iterdir()) == []


def test_a_second_ctrl_c_ends_a_policy_that_does_not_hear_the_first(tmp_path: Path) -> None:
    """It catches everything; its processes are gone, and what they were writing."""
    with stuck_simulation(tmp_path, kind="Deaf", done="fcfs") as simulation:
        simulation.process.send_signal(signal.SIGINT)
        assert [simulation.pipe.readline() for _ in simulation.workers] == ["deaf\n"] * 2
        returned, _, err = simulation.signal(signal.SIGINT)
        simulation.wait_for_workers()
    assert (returned, err) == (130, "interrupted: 1 of 3 runs were done\n")
    assert not list(simulation.out.glob(".*")) and (simulation.out / "results.json").exists()


def test_workers_do_not_see_ctrl_c_themselves(tmp_path: Path) -> None:
    """Nor SIGTERM: what comes of them is for the process that has begun them to say."""
    with stuck_simulation(tmp_path) as simulation:
        for worker in simulation.workers:
            os.kill(worker, signal.SIGINT)
            os.kill(worker, signal.SIGTERM)
        returned, _, err = simulation.signal(signal.SIGTERM)
        simulation.wait_for_workers()
    assert (returned, err) == (143, "interrupted: 0 of 2 runs were done\n")
