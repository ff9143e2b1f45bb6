"""The logs that results of a run name, and what they say of runs that failed or were given up."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import results
from aptsched.policies.form_choice import FORM_SETS
from commands import call


def test_a_log_that_is_cut_at_a_line_holds_alone_and_not_with_its_results(run: Path) -> None:
    """results.json says how many decisions had a certificate."""
    log = run / "certificates-aptserve-rate20.jsonl"
    (num_certified,) = [
        summary["num_certified"]
        for summary in results.document(run)["summary"]
        if (summary["policy"], summary["rate_per_s"]) == ("aptserve", 20.0)
    ]
    results.rewritten(log, lambda lines: lines[:-1])
    assert results.failures(log) == []
    results.seal(run)
    assert [reason for reason in results.failures(run) if f"num_certified: {num_certified}, but " in reason]


def test_a_log_alone_is_checked(run: Path) -> None:
    """In a directory without the results beside it."""
    for name in ("results.json", "requests.csv"):
        (run / name).unlink()
    assert results.failures(run) == []


def test_a_log_of_an_earlier_study_is_checked_alone(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It belongs to no results, and that is said."""
    shutil.copy(run / "certificates-aptserve-rate20.jsonl", run / "certificates-before.jsonl")
    assert call("verify", str(run)) == 0
    assert "no results.json beside it names it: checked alone" in capsys.readouterr().out


@pytest.mark.parametrize("rho", ["0", "0.00001", "0.001"])
def test_charges_for_life_are_certified(tmp_path: Path, rho: str) -> None:
    """Of every set of forms, whether hidden states are free, cost little, or much: values above p, or below 0."""
    policies = ",".join(f"aptserve:charge=lifetime:forms={forms}" for forms in FORM_SETS)
    run = results.simulated(tmp_path, "--policy", policies, "--rho", rho, "--executed-rho", rho)
    assert results.failures(run) == []
    rows = results.document(run)["summary"]
    counts = [row["num_certified"] for row in rows if "lifetime" in row["policy"]]
    assert len(counts) == 2 * len(FORM_SETS) and min(counts) > 0


@pytest.mark.parametrize("rho", ["0", "0.00001", "0.001"])
def test_the_printed_method_is_certified(tmp_path: Path, rho: str) -> None:
    """Each of its decisions, by the price of the first increment that it left out, whatever rebuilding takes."""
    policies = "aptserve:as=paper,aptserve:as=paper:forms=kv,aptserve:as=paper:fallback=none"
    run = results.simulated(tmp_path, "--policy", policies, "--rho", rho, "--executed-rho", rho)
    assert results.failures(run) == []
    counts = [row["num_certified"] for row in results.document(run)["summary"] if "paper" in row["policy"]]
    assert len(counts) == 6 and min(counts) > 0


@pytest.mark.parametrize("of", ["other policy", "other rate", "twice", "not there"])
def test_each_run_has_one_log(run: Path, of: str) -> None:
    """Of its policy and its rate."""
    given = results.document(run)
    entry = next(entry for entry in given["files"] if "policy" in entry)
    given["files"] += {
        "other policy": [entry | {"policy": "sjf"}],
        "other rate": [entry | {"rate_per_s": 7.0}],
        "twice": [dict(entry)],
        "not there": [entry | {"file": "certificates-x.jsonl"}],
    }[of]
    results.seal(run, given)
    assert results.failures(run)


def test_certificates_that_were_not_asked_for_are_not_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What they came to is as said; logs that are there all the same contradict it."""
    run = results.simulated(tmp_path, "--certificates", "none")
    capsys.readouterr()
    assert call("verify", str(run)) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "no certificates were written, as its options say" in out and "summary.gap_worst" in out
    given = results.document(run)
    for value in (None, 0, -1):
        given["summary"][1]["num_certified"] = value
        results.seal(run, given)
        assert results.failures(run)


def test_options_do_not_do_away_with_logs(run: Path) -> None:
    """That none were written is no excuse where one is named."""
    given = results.document(run)
    results.seal(run, given | {"options": given["options"] | {"certificates": "none"}})
    assert any("by options.certificates none is written" in reason for reason in results.failures(run))


def test_compressed_logs_are_held_to_the_results(tmp_path: Path) -> None:
    """They hold, and cut off they do not."""
    run = results.simulated(tmp_path, "--certificates", "gzip")
    assert results.failures(run) == []
    log = run / "certificates-aptserve-rate20.jsonl.gz"
    log.write_bytes(log.read_bytes()[:-9])
    results.seal(run)
    assert any("cannot be decompressed" in reason for reason in results.failures(run))


@pytest.fixture
def with_failures(tmp_path: Path) -> Path:
    """Results of a policy that serves and one that says plans that are not legal."""
    policy = tmp_path / "mine.py"
    policy.write_text(FAILING)
    (tmp_path / "trace.csv").write_text(results.TRACE)
    given = ("simulate", "--trace", str(tmp_path / "trace.csv"), *results.SIMULATE, "--out", str(tmp_path / "run"))
    assert call(*given, "--policy", "fcfs", f"{policy}:Failing") == 2
    return tmp_path / "run"


FAILING = """
from aptsched.scheduling.plan import Plan
class Failing:
    def decide(self, view):
        return None
"""


def test_runs_that_failed_are_not_missed(with_failures: Path) -> None:
    """The others hold; that all is complete does not, nor a failure that nobody planned or that was served."""
    given = results.document(with_failures)
    assert results.failures(with_failures) == [] and len(given["failed"]) == 2 and not given["complete"]
    first = given["failed"][0]
    others = [{**first, "policy": "sjf"}, {**first, "policy": "fcfs"}, first, {**first, "rate_per_s": 7.0}, 7, None]
    for failed in ([first | {"reason": ""}], *([*given["failed"], other] for other in others)):
        results.seal(with_failures, given | {"failed": failed})
        assert results.failures(with_failures), failed
    results.seal(with_failures, given | {"complete": True})
    assert results.failures(with_failures)


def test_a_run_that_was_given_up_says_so(tmp_path: Path) -> None:
    """The reason of the run is that of its unfinished requests."""
    policy = tmp_path / "idle.py"
    policy.write_text(FAILING.replace("return None", "return Plan()"))
    (tmp_path / "trace.csv").write_text(results.TRACE)
    given = ("simulate", "--trace", str(tmp_path / "trace.csv"), *results.SIMULATE, "--out", str(tmp_path / "run"))
    assert call(*given, "--policy", f"{policy}:Failing") == 0
    run = tmp_path / "run"
    document = results.document(run)
    reasons = [summary["reason"] for summary in document["summary"]]
    assert results.failures(run) == [] and reasons[:2] == [None, None] and reasons[2].startswith("nothing ran")
    for at, reason in ((2, None), (2, "interrupted"), (2, "x"), (2, 7), (2, []), (0, reasons[2]), (0, "interrupted")):
        results.seal(run, results.replaced(document, ("summary", at, "reason"), reason))
        assert results.failures(run)


def test_a_warm_up_leaves_out_the_first_requests(tmp_path: Path) -> None:
    """Those that arrive before its end, and no others."""
    run = results.simulated(tmp_path, "--warmup", "0.005")
    assert results.failures(run) == []
    results.rewritten(run / "requests.csv", lambda lines: [line for line in lines if line.split(",")[2] != "1"])
    results.seal(run)
    assert results.failures(run)
