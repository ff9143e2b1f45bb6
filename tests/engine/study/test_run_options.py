"""Options of a study on a real model: those of the command, checked before a model is loaded."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest

from aptsched import InputError
from aptsched.cli.run import run as command
from engine.study.run_options import RunOptions


def test_names_and_defaults_are_those_of_the_command() -> None:
    """But for what the command alone does, and for certificates, which it keeps where it writes."""
    ours = {field.name: field.default for field in fields(RunOptions)}
    theirs = {name: each.default for name, each in inspect.signature(command).parameters.items()}
    assert theirs.keys() - ours.keys() == {"context", "out", "as_json"} and ours.keys() - theirs.keys() == {"select"}
    for name in (ours.keys() & theirs.keys()) - {"certificates"}:
        assert ours[name] == (tuple(theirs[name]) if isinstance(theirs[name], list) else theirs[name])


def test_results_record_them_in_the_order_of_the_command() -> None:
    """As plain values, whatever they were given as."""
    recorded = RunOptions(workload="sharegpt", rate=[1, 0.5], policy="fcfs").recorded("study", as_json=True)
    assert list(recorded) == [name for name in inspect.signature(command).parameters if name != "context"]
    assert json.loads(json.dumps(recorded)) == recorded
    assert (recorded["rate"], recorded["policy"], recorded["out"]) == (["1", "0.5"], ["fcfs"], "study")


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"workload": None}, "trace, workload: neither is given"),
        ({"cache_mem": "1GiB", "num_blocks": 4}, "cache_mem, num_blocks: both are given; one of them is accepted"),
        ({"cache_mem": "some"}, "cache_mem: 'some' is not accepted"),
        ({"swap_space": "some"}, "swap_space: 'some' is not accepted"),
        ({"num_blocks": 0}, "num_blocks: 0 is not accepted"),
        ({"foreign_calibration": True}, "foreign_calibration: it is given without a calibration"),
        ({"certificates": "zip"}, "certificates: 'zip' is not accepted"),
        ({"threads": 1.5}, "threads: 1.5 is not accepted; a whole number is"),
        ({"policy": []}, "policy: nothing is given"),
    ],
)
def test_bad_options(keywords: dict[str, Any], message: str) -> None:
    """One message, as of the command."""
    with pytest.raises(InputError) as caught:
        RunOptions(**{"workload": "sharegpt", **keywords})
    assert message in str(caught.value)


def test_options_are_checked_without_torch() -> None:
    """What is wrong with them is said before it is imported."""
    code = "import sys, engine.study.run_options; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=True)
    assert done.stdout.strip() == "False"
