"""What a trace has and is not served is said by every command that reads one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from aptsched.report.notices import merged, tell
from aptsched.support.text_lines import wrapped
from commands import call
from tiny_model import OPT, save_model

LEFT_OUT = "Rows of the trace without prompt tokens, which were left out: 1 of 3."
SERVED_ONE = "Requests without output tokens, of which each is served one: 1 of 2."
BURSTGPT_DROPPED = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,0,0,0,API log
6,GPT-4,10,0,10,API log
9,GPT-4,10,5,15,API log
"""
GAP = ("gap", "--num-requests", "2", "--instances", "1", "--methods", "greedy", "core")
SIMULATE = ("simulate", "--policy", "fcfs,sjf", "--rate", "1", "2", "--jobs", "1")


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "trace.csv"
    path.write_text(BURSTGPT_DROPPED)
    return str(path)


@pytest.fixture
def live(tiny_opt: str) -> tuple[str, ...]:
    """`aptsched run` on a tiny model."""
    return ("run", "--model", tiny_opt, "--rho", "1e-5", "--threads", "1", "--rate", "200", "--num-blocks", "30")


def test_rows_that_are_left_out_are_said_by_run(
    live: tuple[str, ...], trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the notes under the tables, once, and in results.json."""
    assert call(*live, "--trace", trace, "--policy", "fcfs,aptserve", "--out", str(tmp_path / "out")) == 0
    assert capsys.readouterr().out.count(LEFT_OUT) == 1
    assert json.loads((tmp_path / "out" / "results.json").read_text())["notices"] == [LEFT_OUT, SERVED_ONE]


def test_rows_that_are_left_out_are_said_by_simulate(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Once, whatever the number of rates and policies."""
    assert call(*SIMULATE, "--trace", trace) == 0
    out = capsys.readouterr().out
    assert out.count(LEFT_OUT) == out.count(SERVED_ONE) == 1
    assert call(*SIMULATE, "--trace", trace, "--json") == 0
    assert json.loads(capsys.readouterr().out)["notices"] == [LEFT_OUT, SERVED_ONE]


def test_rows_that_are_left_out_are_said_by_gap(trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The results hold with the notices in them."""
    assert call(*GAP, "--trace", trace, "--out", str(tmp_path / "out")) == 0
    assert capsys.readouterr().out.count(LEFT_OUT) == 1
    results = tmp_path / "out" / "results.json"
    document = json.loads(results.read_text())
    assert LEFT_OUT in document["notices"]
    assert call("verify", str(results)) == 0


def test_rows_that_are_left_out_are_said_by_snapshot(
    trace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line on stderr, which leaves stdout as it is."""
    assert call("snapshot", "--trace", trace, "--num-requests", "2", "--out", str(tmp_path / "queue.json")) == 0
    out, err = capsys.readouterr()
    assert f"note: {LEFT_OUT}\n" in err and LEFT_OUT not in out


def test_a_notice_is_said_once_and_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Also where it has a word of 200 characters."""
    long = "The columns " + ", ".join(f"column_{i}" for i in range(20)) + ", " + "x" * 200 + " are not used."
    assert merged([long, "one"], ["two", "one"]) == (long, "one", "two")
    lines = wrapped(long)
    assert max(map(len, lines)) == 80 and "".join(lines).replace(" ", "") == long.replace(" ", "")
    tell([long, long], sys.stderr)
    assert capsys.readouterr().err == f"note: {long}\n"


def test_what_a_model_has_and_is_not_used(
    tmp_path: Path, trace: str, live: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Fields that nobody knows and weights that are left: on stderr and in the document of texts, below a table."""
    directory = Path(save_model(tmp_path / "opt", OPT))
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "mup_scale": 2.0}))
    (directory / "pytorch_model.bin").write_bytes(b"")
    said = [
        "config.json: mup_scale: not known, and not used",
        "weights: model.safetensors: read; pytorch_model.bin: not read",
    ]
    given = ("--model", str(directory), "--threads", "1")
    assert call("generate", *given, "--prompt", "Hi", "--max-tokens", "1", "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["notices"] == said
    assert [line for line in printed.err.splitlines() if line.startswith("note: ")] == [
        f"note: {line}" for line in said
    ]
    assert call(*live[:1], *given, *live[3:], "--policy", "fcfs", "--trace", trace) == 0
    assert all(line in capsys.readouterr().out.splitlines() for line in said[:1])


@pytest.fixture(params=["run", "simulate", "gap", "snapshot"])
def command(request: pytest.FixtureRequest, live: tuple[str, ...], tmp_path: Path) -> tuple[str, ...]:
    """Each command that reads a trace."""
    return {
        "run": (*live, "--policy", "fcfs", "--json", "--max-prompt-tokens", "20", "--max-output-tokens", "5"),
        "simulate": ("simulate", "--policy", "fcfs", "--jobs", "1", "--json"),
        "gap": (*GAP, "--json"),
        "snapshot": ("snapshot", "--num-requests", "2", "--out", str(tmp_path / "queue.json")),
    }[request.param]


def notices_of(command: tuple[str, ...], content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the command says of a trace, in its document or on stderr."""
    path = tmp_path / "trace"
    path.write_text(content)
    assert call(*command, "--trace", str(path)) == 0
    out, err = capsys.readouterr()
    if "--json" in command:
        notices: list[str] = json.loads(out)["notices"]
        return notices
    return [line.removeprefix("note: ") for line in err.splitlines()]


def test_columns_that_are_not_known_are_named_by_every_command(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, and what is taken for the arrivals in another."""
    content = "arrived_at_ms,client,deadline_s,prompt_tokens,output_tokens\n0,a,1,10,5\n1000,b,2,20,5\n"
    notices = notices_of(command, content, tmp_path, capsys)
    assert "Arrivals are those of the column arrived_at_ms, in milliseconds." in notices
    assert "Columns of the trace that are not known, and not used: client, deadline_s." in notices


def test_lengths_alone_are_said_by_every_command(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For arrivals are drawn."""
    notices = notices_of(command, "prompt_tokens,output_tokens\n10,5\n20,5\n", tmp_path, capsys)
    assert any(notice.startswith("The trace has lengths alone: arrivals are drawn by the seed") for notice in notices)


def test_fractional_milliseconds_are_read_by_every_command(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the kind mooncake-fractional-ms: nothing is assumed where the hash ids decide."""
    rows = ((0.0, 6758, 14), (3000.25, 7319, 15))
    content = "".join(
        json.dumps({"timestamp": t, "input_length": n, "output_length": 5, "hash_ids": list(range(k))}) + "\n"
        for t, n, k in rows
    )
    notices = notices_of(command, content, tmp_path, capsys)
    assert not any("assumed" in notice for notice in notices)


def test_a_time_column_without_a_unit_is_refused_by_every_command(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the kind csv-foreign-time-column: one line, and nothing is served or written."""
    path = tmp_path / "trace.csv"
    path.write_text("timestamp,prompt_tokens,output_tokens\n0,10,5\n100,20,5\n")
    assert call(*command, "--trace", str(path)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "column timestamp" in err and "timestamp_ms" in err
    assert [each.name for each in tmp_path.iterdir()] == ["trace.csv"]


def test_a_prompt_that_is_longer_than_any_context_is_rejected_and_not_drawn(
    live: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would take 34 GB; the other request is served."""
    path = tmp_path / "trace.csv"
    path.write_text(f"arrived_at_s,prompt_tokens,output_tokens\n0,{2**32},5\n1,20,{2**32}\n")
    assert call(*live, "--trace", str(path), "--policy", "fcfs", "--json", "--max-output-tokens", "3") == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["request_id"] for row in document["rejected"]] == [0]
    assert document["summary"][0]["num_finished"] == 1
    assert any(
        notice.startswith("Requests longer than the context of ") and "1 of 2." in notice
        for notice in document["notices"]
    )
