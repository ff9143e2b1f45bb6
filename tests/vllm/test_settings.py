"""What the plug-in is told, and what it refuses."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vllm import SamplingParams

from aptsched.scheduling.record import SLO
from aptsched.support.errors import InputError
from benchmarks.vllm_clock import Drive, Setup, make_scheduler, offered
from engine.vllm import AptScheduler
from engine.vllm.known import check_version
from engine.vllm.labels import Labels
from engine.vllm.settings import Settings, read_settings


def test_the_config_goes_before_the_environment() -> None:
    """Each setting has a name in both; what neither names is as it is by default."""
    environment = {"APTSCHED_POLICY": "fcfs", "APTSCHED_SLO_TTFT_S": "3", "OTHER": "1"}
    found = read_settings({"aptsched": {"policy": "sarathi"}, "other": 1}, environment)
    assert found == Settings(policy="sarathi", slo_ttft_s=3.0)
    assert read_settings({}, {}) == Settings()


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"polcy": "fcfs"}, "'polcy' is not known"),
        ({"policy": 3}, "policy: 3 is not accepted; a text is"),
        ({"slo_ttft_s": "soon"}, "slo_ttft_s: 'soon' is not accepted; a number is"),
        ({"metrics_port": "1_0"}, "metrics_port: '1_0' is not accepted; a whole number is"),
        ({"slo_ttft_s": -1.0}, "slo_ttft_s|ttft_s"),
        ({"metrics_port": 70000}, "metrics_port: 70000 is not accepted"),
        ([], "aptsched: \\[\\] is not accepted"),
    ],
)
def test_a_bad_setting_is_one_message(section: Any, named: str) -> None:
    """It names the setting, its value, and what is accepted."""
    with pytest.raises(InputError, match=named):
        read_settings({"aptsched": section}, {})


@pytest.mark.parametrize(("found", "said"), [("0.31.9", "0.31.9"), ("1.0", "1.0"), (None, "none")])
def test_a_version_that_is_not_known_is_refused(found: str | None, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which is there, and which is known."""

    def version(name: str) -> str:
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr("engine.vllm.known.version", version)
    with pytest.raises(InputError, match=f"version {said} is not accepted; 0.32.x is known"):
        check_version()


def request(**said: Any) -> Any:
    """vLLM's request of 5 tokens, of which up to 20 come, with these `vllm_xargs`."""
    given = offered(np.random.default_rng(0), num_requests=1)
    made = Drive(type("Scheduler", (), {})(), given, Setup()).request(0)
    made.sampling_params = SamplingParams(max_tokens=20, extra_args=said)
    return made


def test_what_a_request_says_of_itself_is_seen_by_policies() -> None:
    """Objectives, priority, and tenants, which are numbered as they come."""
    labels = Labels(SLO(1.0, 0.5), 4096)
    first = labels.request(0, request(slo_ttft_s=2, tenant="blue", priority=-1))
    second = labels.request(1, request(tenant="red"))
    third = labels.request(2, request(tenant="blue"))
    assert (first.slo, first.priority, second.slo) == (SLO(2, 0.5), -1, SLO(1.0, 0.5))
    assert first.tenant == third.tenant != second.tenant


@pytest.mark.parametrize(
    "said", [{"slo_ttft_s": "1"}, {"slo_tpot_s": 0}, {"slo_ttft_s": True}, {"tenant": [1]}, {"priority": 0.5}]
)
def test_a_label_that_is_not_accepted_ends_its_request_alone(said: dict[str, Any], tmp_path: Path) -> None:
    """It ends with an error, and nothing of it is left."""
    (name,) = said
    with pytest.raises(InputError, match=name.removeprefix("slo_")):
        Labels(SLO(), 4096).request(0, request(**said))
    scheduler = make_scheduler(AptScheduler, Setup(), tmp_path)
    scheduler.add_request(request(**said))
    assert (scheduler.requests, scheduler._mirror.num_rows, len(scheduler.waiting)) == ({}, 0, 0)
    assert len(scheduler._rejected) == 1


def test_what_the_view_does_not_describe_is_refused(tmp_path: Path) -> None:
    """Such as vLLM's own priorities: the message names what is set up."""
    with pytest.raises(InputError, match="--scheduling-policy priority is not accepted"):
        make_scheduler(AptScheduler, Setup(policy="priority"), tmp_path)
