"""What the plug-in says of its decisions is so."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest

from aptsched.support.errors import InputError
from benchmarks.vllm_clock import Drive, Setup, make_scheduler, offered
from engine.vllm import AptScheduler
from proofs.iterations import verdicts


def served(directory: Path, **own: Any) -> tuple[Any, Drive]:
    """A scheduler that has served 60 requests at overload, with these settings, and its drive."""
    setup = Setup(additional={"aptsched": own})
    scheduler = make_scheduler(AptScheduler, setup, directory)
    run = Drive(scheduler, offered(np.random.default_rng(0), num_requests=60), setup)
    run.run()
    return scheduler, run


def figure(scheduler: Any, name: str) -> float:
    """The figure of that name, of whatever labels."""
    samples = [each for metric in scheduler._figures.registry.collect() for each in metric.samples]
    return float(sum(each.value for each in samples if each.name == name))


def test_the_certificates_of_decisions_hold(tmp_path: Path) -> None:
    """Each that the file has is proved by the checker that knows no method, and all are counted."""
    log = tmp_path / "certificates.jsonl"
    scheduler, _ = served(tmp_path, policy="aptserve:forms=kv", certificates=str(log))
    found = [*verdicts(log)]
    assert len(found) == figure(scheduler, "aptsched:certified_decisions_total") > 20
    assert [each for each in found if each.reasons] == []
    largest = max(each.gap for each in found if each.gap is not None)
    assert figure(scheduler, "aptsched:largest_certified_gap") == largest
    scheduler.shutdown()


def test_requests_are_counted_by_how_they_end(tmp_path: Path) -> None:
    """Those that were rejected as the drive saw it, and the others finished, of which some were in time."""
    scheduler, run = served(tmp_path, policy="shed(vllm-v1)", slo_ttft_s=0.1)
    assert figure(scheduler, "aptsched:requests_total") == 60
    counted = {
        each.labels["outcome"]: each.value
        for metric in scheduler._figures.registry.collect()
        for each in metric.samples
        if each.name == "aptsched:requests_total"
    }
    num_refused = len(run.served.refused)
    assert counted == {"rejected": num_refused, "finished": 60 - num_refused}
    assert 0 < figure(scheduler, "aptsched:requests_in_time_total") <= 60 - num_refused
    assert figure(scheduler, "aptsched:preemptions_total") == run.served.num_preemptions


def test_figures_are_served_on_a_port_that_is_free(tmp_path: Path) -> None:
    """A port that is taken is one message."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"metrics_port: {port} is not accepted"):
            served(tmp_path, metrics_port=port)
    served(tmp_path, metrics_port=port)
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        assert "aptsched:decision_seconds_count" in answer.read().decode()


def test_certificates_that_cannot_be_written_are_one_message(tmp_path: Path) -> None:
    """Before anything is served."""
    with pytest.raises(InputError, match="cannot be written"):
        served(tmp_path, certificates=str(tmp_path / "none" / "file.jsonl"))
