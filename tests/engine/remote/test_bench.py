"""A server elsewhere is measured as policies are, by the client's clock, with the tables and files of a run."""

from __future__ import annotations

import json
import socket
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import pytest

from aptsched.policies.fcfs import FCFS
from aptsched.policies.shed import Shed
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from commands import call
from engine.remote.bench import bench
from engine.remote.bench_options import BenchOptions
from engine.remote.streamed_request import Came
from engine.study.serving import Watch
from engine.study.serving_study import ServingStudy
from http_server import serving
from live import Gated

SMALL = {"vocab_size": 200, "max_prompt_tokens": 20, "max_output_tokens": 8}
ROWS = "arrived_at_s,prompt_tokens,output_tokens,tenant,priority,slo_ttft_s\n"


def no_watch(num_runs: int) -> AbstractContextManager[Watch]:
    """Nobody is told."""
    return nullcontext(lambda policy, replay, num_ended: None)


def measured(url: str, **options: object) -> ServingStudy:
    """The study of a server."""
    return bench(BenchOptions(url=url, **{**SMALL, **options}), no_watch, None, False)  # type: ignore[arg-type]


def test_every_request_has_its_tokens_and_times() -> None:
    """As many as the trace says, at times that rise from the arrival on; each rate is a run."""
    with serving() as served:
        study = measured(served.url, workload="humaneval", num_requests=12, rate=[50, 100])
        served.check_idle()
    assert study.complete and [run.rate_per_s for run in study.runs] == [50, 100]
    for run, replay in zip(study.runs, study.replays, strict=True):
        assert [record.num_output_tokens for record in run.records] == replay.num_output_tokens.tolist()
        assert [record.arrived_at_s for record in run.records] == replay.arrived_at_s.tolist()
        for record in run.records:
            times = record.token_at_s.tolist()
            assert record.outcome is Outcome.FINISHED and record.arrived_at_s < times[0] and times == sorted(times)


def test_labels_go_along(tmp_path: Path) -> None:
    """A tenant's own objective and priority reach the policy: what is too late already is rejected, and so counted."""
    (tmp_path / "trace.csv").write_text(f"{ROWS}0,5,4,a,2,1e-9\n0.01,5,4,b,0,1e6\n", encoding="utf-8")
    with serving(Shed(FCFS())) as served, pytest.raises(InputError, match="HTTP 429: given up by the policy"):
        measured(served.url, trace=str(tmp_path / "trace.csv"))  # the first request is sent alone before
    (tmp_path / "trace.csv").write_text(f"{ROWS}0,5,4,b,0,1e6\n0.01,5,4,a,2,1e-9\n", encoding="utf-8")
    with serving(Shed(FCFS())) as served:
        study = measured(served.url, trace=str(tmp_path / "trace.csv"))
    (run,) = study.runs
    assert [record.outcome for record in run.records] == [Outcome.FINISHED, Outcome.REJECTED]
    assert run.records[1].reason.startswith("HTTP 429: given up by the policy")
    assert list(run.by_tenant) == ["b", "a"] and run.metrics.rejected == 0.5


def test_what_the_queue_refuses_is_rejected() -> None:
    """All but the places of the server, where nothing is served meanwhile."""
    with serving(max_requests=2) as served:
        gated = Gated()
        served.live.policy._policy = gated
        gated.gate.set()

        def hold(policy: str, replay: object, num_ended: int) -> None:
            if num_ended == 0:
                gated.gate.clear()
            if num_ended == 8:
                gated.gate.set()

        options = BenchOptions(
            url=served.url,
            workload="humaneval",
            num_requests=10,
            rate=1000,
            vocab_size=200,
            max_prompt_tokens=40,  # all fit into the context of the model
            max_output_tokens=20,
        )
        study = bench(options, lambda num_runs: nullcontext(hold), None, False)
    outcomes = [record.outcome for record in study.runs[0].records]
    assert outcomes.count(Outcome.REJECTED) == 8 and outcomes.count(Outcome.FINISHED) == 2


@dataclass
class ServesThree(Gated):
    """First come, first served, and after three have ended once it is let."""

    num_ended: int = 0

    def decide(self, view: View) -> Plan:
        """The plan, when the gate is open or not closed yet."""
        return FCFS().decide(view) if self.num_ended < 3 else super().decide(view)

    def on_record(self, record: RequestRecord) -> None:
        """Counts those that have ended."""
        self.num_ended += 1


def test_a_server_that_ends_leaves_requests_unfinished(tmp_path: Path) -> None:
    """Their streams are cut, the run says why, and those before are kept."""
    (tmp_path / "trace.csv").write_text(ROWS + "0,5,2,,0,\n" * 2 + "0,5,60,,0,\n" * 8, encoding="utf-8")
    three = ServesThree()  # of which one is sent before, to see whether the server serves
    with serving(three) as served:

        def end(policy: str, replay: object, num_ended: int) -> None:
            if num_ended == 2:
                served.service.end_all()
                served.server.should_exit = served.server.force_exit = True
                three.gate.set()

        options = BenchOptions(url=served.url, trace=str(tmp_path / "trace.csv"), vocab_size=200)
        study = bench(options, lambda num_runs: nullcontext(end), None, False)
    (run,) = study.runs
    left = [record for record in run.records if record.outcome is not Outcome.FINISHED]
    assert len(left) == 8 and all(record.reason for record in left)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"])
def test_what_is_no_such_server_is_one_message(answer: bytes) -> None:
    """Nobody listens, or what answers is something else."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        if answer:

            def reply() -> None:
                connection, _ = listening.accept()
                connection.recv(1000)
                connection.sendall(answer)
                connection.close()

            Thread(target=reply, daemon=True).start()
        else:
            listening.close()
        with pytest.raises(InputError, match=r"url: .* lists no models"):
            measured(url, workload="humaneval", num_requests=2)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://a", "http://", "http://a:b", "http://a?b", "http://[::"])
def test_urls_that_are_none_are_refused(url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InputError, match=r"url: .* is not accepted; http://HOST:PORT is"):
        BenchOptions(url=url)


def test_the_command_writes_what_run_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables, results.json without the key, requests.csv, and a page of `aptsched report`."""
    out = tmp_path / "out"
    given = ["--workload", "humaneval", "--num-requests", "5", "--rate", "50", "--vocab-size", "200"]
    given += ["--max-prompt-tokens", "20", "--max-output-tokens", "8", "--api-key", "secret"]
    with serving(api_key="secret") as served:
        assert call("bench", served.url, *given, "--name", "ours", "--out", str(out)) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert "ours" in printed and "what it does within its iterations is not seen" in " ".join(printed.split())
    text = (out / "results.json").read_text()
    assert "secret" not in text and json.loads(text)["model"] == {"name": "tiny", "url": served.url}
    assert (out / "requests.csv").read_text().count("finished") == 5
    assert call("report", str(out), "--out", str(tmp_path / "page.html")) == 0, capsys.readouterr().err
    assert call("verify", str(out)) == 0, capsys.readouterr().err


def test_tokens_are_counted_by_usage_or_by_pieces() -> None:
    """Several in a piece come together; without usage each piece is one, and the last usage says how many they were."""
    by_usage, by_pieces = Came(), Came()
    for at, count in enumerate([1, 3, 3, 4]):
        by_usage.count({"choices": [{}], "usage": {"completion_tokens": count}}, float(at))
    assert by_usage.token_at_s == [0.0, 1.0, 1.0, 3.0]
    for at in range(3):
        by_pieces.count({"choices": [{}], "usage": None}, float(at))
    assert by_pieces.token_at_s == [0.0, 1.0, 2.0]
    by_pieces.count({"choices": [], "usage": {"completion_tokens": 2}}, 9.0)
    assert by_pieces.token_at_s == [0.0, 1.0]
