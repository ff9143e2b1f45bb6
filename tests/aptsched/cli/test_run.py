"""`aptsched run`, on a tiny model and in real time."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.checks import Ints
from commands import call
from engine.calibration import calibration_json
from engine.calibration.measure import Calibration
from engine.calibration.points import PLAIN, Point
from engine.runner.forms.form_blocks import Read
from engine.runner.forms.hidden import HiddenBlocks
from engine.session.ahead import Ahead, Prepared

FILES = ["attainment.png", "requests.csv", "results.json", "timeline.png"]
CALIBRATED = ["--threads", "1", "--num-requests", "12", "--rate", "200", "--num-blocks", "30", "--policy", "fcfs"]
CLIPPED = ["--max-prompt-tokens", "60", "--max-output-tokens", "20"]


def test_a_table_and_files_of_what_each_policy_comes_to(
    quick_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both policies finish the same requests; every certificate holds."""
    assert call(*quick_run, "--out", str(tmp_path / "out")) == 0
    out, err = capsys.readouterr()
    rows = [line.split()[0] for line in out.splitlines() if line.startswith(("fcfs ", "aptserve "))]
    assert rows == ["fcfs", "aptserve"] * 3 and max(map(len, out.splitlines())) <= 80
    assert (
        re.search(r"Requests clipped to the most tokens of prompt or output: 1\d of 12", out)
        and "fcfs: 12 requests, arriving over" in err
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(["certificates-aptserve.jsonl", *FILES])
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (document["schema"], document["version"], document["complete"]) == ("aptsched.run", 3, True)
    assert [row["num_finished"] for row in document["summary"]] == [12, 12]
    assert document["times"]["rho_s_per_block"] == 1e-5 and document["cache"]["hidden_ratio"] == "1/2"
    with (tmp_path / "out" / "requests.csv").open() as file:
        lengths = [(row["request_id"], row["num_prompt_tokens"], row["num_tokens"]) for row in csv.DictReader(file)]
    assert len(lengths) == 24 and lengths[:12] == lengths[12:]
    assert call("verify", str(tmp_path / "out")) == 0
    assert "certificates-aptserve.jsonl" in capsys.readouterr().out


def test_the_labels_of_a_trace_go_with_its_requests(tiny_opt: str, tmp_path: Path) -> None:
    """Tenants, priorities and objectives, though the first request is served alone before the run."""
    rows = ["arrived_at_s,prompt_tokens,output_tokens,tenant,priority,slo_ttft_s", "0,5,2,a,1,1e6", "0.01,5,2,b,0,1e6"]
    (tmp_path / "trace.csv").write_text("\n".join(rows), encoding="utf-8")
    given = ["--trace", str(tmp_path / "trace.csv"), "--out", str(tmp_path / "out"), "--policy", "fcfs"]
    assert call("run", "--model", tiny_opt, *given, "--rho", "1e-5", "--threads", "1", "--num-blocks", "30") == 0
    with (tmp_path / "out" / "requests.csv").open() as file:
        found = [(row["outcome"], row["tenant"], row["priority"]) for row in csv.DictReader(file)]
    assert found == [("finished", "0", "1"), ("finished", "1", "0")]


def test_requests_are_swapped_on_a_real_model(quick_run: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On a pool for two of them, with as much on the host as in the pool unless it is said."""
    small = ["--policy", "fastserve:quantum_s=1e-6", "--num-blocks", "8", "--json"]
    summaries = []
    for more in ([], ["--swap-space", "0"]):
        assert call(*quick_run, *small, *more) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["cache"]["num_host_blocks"] == (0 if more else 8)
        summaries += document["summary"]
    assert [summary["num_finished"] for summary in summaries] == [12, 12]
    assert summaries[0]["num_swapped_blocks"] > 0 == summaries[1]["num_swapped_blocks"]


@pytest.mark.parametrize("way", ["absorbed", "rebuilt"])
def test_hidden_states_are_read_as_asked(
    way: str, quick_run: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Decodes of a policy that gives hidden form alone read K and V only where they are to be rebuilt."""
    num_rebuilt, reader = 0, HiddenBlocks.reader

    def counted(form: HiddenBlocks, table: Ints, num_tokens: Ints) -> Read:
        nonlocal num_rebuilt
        num_rebuilt += 1
        return reader(form, table, num_tokens)

    monkeypatch.setattr(HiddenBlocks, "reader", counted)
    assert call(*quick_run, "--policy", "aptserve:forms=hidden", "--hidden-attention", way, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["options"]["hidden_attention"] == way and document["summary"][0]["num_finished"] == 12
    assert (num_rebuilt > 0) == (way == "rebuilt")


def test_iterations_are_decided_ahead_where_that_is_asked_for(
    quick_run: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All requests are served, and each iteration but an idle one is started before the next is decided."""
    num_decided, decided = 0, Ahead._decided

    def counted(ahead: Ahead) -> Prepared | None:
        nonlocal num_decided
        num_decided += 1
        return decided(ahead)

    monkeypatch.setattr(Ahead, "_decided", counted)
    for more in ([], ["--overlap"]):
        assert call(*quick_run, "--policy", "aptserve", *more, "--json") == 0
        document = json.loads(capsys.readouterr().out)
        assert document["options"]["overlap"] == bool(more) and document["summary"][0]["num_finished"] == 12
        assert (num_decided > 0) == bool(more)


def test_the_printed_method_on_a_real_model(
    quick_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It serves all requests, with hidden states rebuilt as it believes, and its certificates hold."""
    printed = ["--policy", "aptserve:as=paper", "--hidden-attention", "rebuilt"]
    assert call(*quick_run, *printed, "--out", str(tmp_path), "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["summary"]
    assert row["policy"] == "aptserve:as=paper" and row["num_finished"] == 12 and row["num_certified"] > 0
    assert call("verify", str(tmp_path)) == 0


def test_several_rates_say_which_one_each_policy_holds(
    quick_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table a rate, a log of decisions for each, and the highest rate that holds; --json is the file."""
    arguments = [
        *quick_run,
        "--policy",
        "aptserve:select=core",
        "--rate",
        "300,100",
        "--slo-ttft",
        "100",
        "--slo-tpot",
        "100",
    ]
    assert call(*arguments, "--out", str(tmp_path), "--json") == 0
    out = capsys.readouterr().out
    document = json.loads(out)
    assert (tmp_path / "results.json").read_text() == out
    assert [row["rate_per_s"] for row in document["summary"]] == [100, 200, 300]
    (holds,) = document["holds"]
    assert holds["highest_rate_per_s"] == {"0.6": 300, "0.9": 300, "0.99": 300} and holds["attained"] == [1, 1, 1]
    logs = sorted(path.name for path in tmp_path.glob("*.jsonl"))
    assert logs == [f"certificates-aptserve-select-core-rate{rate}.jsonl" for rate in (100, 200, 300)]


def test_a_calibration_comes_first_and_is_written_beside_the_results(
    tiny_opt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It can be given again; --rho has its own way."""
    options = ["run", "--model", tiny_opt, "--workload", "humaneval", *CALIBRATED, *CLIPPED]
    assert call(*options, "--out", str(tmp_path)) == 0
    written = json.loads((tmp_path / "calibration.json").read_text())["times"]
    assert json.loads((tmp_path / "results.json").read_text())["times"].items() >= written.items()
    capsys.readouterr()
    given = ["--calibration", str(tmp_path / "calibration.json"), "--rho", "0.5", "--json"]
    assert call(*options, *given) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["times"].items() >= {**written, "rho_s_per_block": 0.5, "rebuild_s_per_block": 0.5}.items()
    assert "calibrating" not in err


def test_hidden_states_are_read_as_they_were_measured(
    tiny_opt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rebuilt with a calibration of that, which is said; absorbed ones may be rebuilt, at what a conversion takes."""
    file, times = tmp_path / "calibration.json", IterationTime(0.01, 1e-4, 1e-6, 1e-5, rebuild_s_per_block=1e-3)
    points = (Point(16, 0, PLAIN, 0.1), Point(1, 64, PLAIN, 0.1))
    options = ["run", "--model", tiny_opt, "--workload", "humaneval", *CALIBRATED, *CLIPPED, "--json"]
    options += ["--foreign-calibration", "--calibration", str(file)]
    found = {}
    for up_to in (0, 40):
        calibration_json.save(Calibration("m", "cpu", "fp32", times, 0.9, points, absorb_up_to=up_to), file)
        for way in ("absorbed", "rebuilt"):
            assert call(*options, "--hidden-attention", way) == 0
            found[up_to, way] = json.loads(capsys.readouterr().out)
    said = {key: any("A new one absorbs" in notice for notice in found[key]["notices"]) for key in found}
    assert [key for key in said if said[key]] == [(0, "absorbed")]
    assert [found[key]["times"]["rho_s_per_block"] for key in found] == [1e-5, 1e-5, 1e-5, 1e-3]


def test_a_prompt_that_is_too_long_is_rejected_with_the_numbers(
    tiny_opt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others go on."""
    trace = tmp_path / "trace.csv"
    trace.write_text("prompt_tokens,output_tokens\n10,4\n300,4\n12,4\n")
    options = ["--policy", "fcfs", "--rho", "0", "--threads", "1", "--rate", "100", "--num-blocks", "40"]
    assert call("run", "--model", tiny_opt, "--trace", str(trace), *options) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "fcfs: 1 rejected, first request 1: num_prompt_tokens: 300 is not accepted; 1 to 255 are" in out
    assert "3 requests, 100 a second" in out


def test_a_calibration_of_another_model_is_refused_or_said(
    quick_run: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And iterations are not held against it."""
    times, points = IterationTime(0.01), (Point(16, 0, PLAIN, 0.1), Point(1, 64, PLAIN, 0.1))
    calibration_json.save(Calibration("opt-13b", "cpu", "fp32", times, None, points), tmp_path / "other.json")
    given = [*quick_run, "--policy", "fcfs", "--json", "--calibration", str(tmp_path / "other.json")]
    assert call(*given) == 2
    assert "calibration: a calibration of opt-13b in fp32 on cpu is not accepted" in capsys.readouterr().err
    assert call(*given, "--foreign-calibration") == 0
    document = json.loads(capsys.readouterr().out)
    assert any(notice.startswith("The calibration is of opt-13b") for notice in document["notices"])
    assert document["summary"][0]["pace"] is None and document["options"]["foreign_calibration"]
    assert call(*quick_run, "--policy", "fcfs", "--foreign-calibration") == 2
    assert "foreign_calibration: it is given without a calibration" in capsys.readouterr().err


@pytest.mark.slow
def test_smollm2_serves_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its MHA twin has a hidden form, and on a small pool it is used."""
    options = ["--expand-kv-heads", "--num-requests", "8", "--rate", "50", "--num-blocks", "24", "--rho", "0"]
    clip = ["--max-prompt-tokens", "64", "--max-output-tokens", "8"]
    assert call("run", "--workload", "sharegpt", *options, *clip, "--json") == 0
    summary = json.loads(capsys.readouterr().out)["summary"]
    assert [row["num_finished"] for row in summary] == [8, 8]
    assert summary[1]["hidden_block_s"] > 0 and summary[1]["gap_worst"] is not None


def test_a_run_that_is_not_as_fast_as_calibrated_says_so(
    tiny_opt: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In table and results: a calibration of a machine a thousand times as fast, taken for this one's."""
    measured = tmp_path / "calibration.json"
    assert call("calibrate", "--model", tiny_opt, "--threads", "1", "--out", str(tmp_path)) == 0
    document = json.loads(measured.read_text())
    document["times"] = {name: value / 1000 for name, value in document["times"].items()}
    measured.write_text(json.dumps(document))
    capsys.readouterr()
    options = ["run", "--model", tiny_opt, "--workload", "humaneval", *CALIBRATED, *CLIPPED]
    assert call(*options, "--calibration", str(measured), "--out", str(tmp_path / "out")) == 0
    assert re.search(r"fcfs, 200 a second: iterations took \d+\S* times what the calibration", capsys.readouterr().out)
    written = json.loads((tmp_path / "out" / "results.json").read_text())
    assert written["summary"][0]["pace"] > 1.5 and any("calibration" in line for line in written["notices"])
