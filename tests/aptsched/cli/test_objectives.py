"""Objectives that are not finite (the kind of --slo-ttft inf): refused before anything runs, or results are written."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.scheduling.record import SLO
from commands import call

TRACE = "arrived_at_s,prompt_tokens,output_tokens\n0,10,3\n0.1,20,3\n0.2,30,2\n"
WORK = ["simulate", "--policy", "fcfs,aptserve", "--jobs", "1", "--json"]


def refuse(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.parametrize("option", ["--slo-ttft", "--slo-tpot"])
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "0", "-1", "1e999", "1e10"])
def test_no_file_is_left_of_one_that_is_refused(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message names the field, the value and what is accepted."""
    (tmp_path / "trace.csv").write_text(TRACE)
    out = tmp_path / "out"
    assert call(*WORK, "--trace", str(tmp_path / "trace.csv"), f"{option}={value}", "--out", str(out)) == 2
    printed, err = capsys.readouterr()
    assert printed == "" and err.count("\n") == 1 and not out.exists()
    assert f"{option.removeprefix('--slo-')}_s: " in err and "finite" in err


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ttft_s=st.floats(), tpot_s=st.floats(1e-300, 1e9))
def test_results_of_any_other_can_be_written(
    ttft_s: float, tpot_s: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the number, as JSON that has no Infinity and no NaN."""
    (tmp_path / "trace.csv").write_text(TRACE)
    given = ["--trace", str(tmp_path / "trace.csv"), f"--slo-ttft={ttft_s!r}", f"--slo-tpot={tpot_s!r}"]
    code = call(*WORK, *given)
    printed, err = capsys.readouterr()
    if code:
        assert code == 2 and "ttft_s: " in err and not 0 < ttft_s <= 1e9
        return
    document = json.loads(printed, parse_constant=refuse)
    assert document["replays"][0]["slo"] == {"ttft_s": ttft_s, "tpot_s": tpot_s}


@given(st.floats(), st.floats())
def test_an_objective_is_finite_and_above_0(ttft_s: float, tpot_s: float) -> None:
    """Also where one is made in a program."""
    if all(math.isfinite(value) and 0 < value <= 1e9 for value in (ttft_s, tpot_s)):
        assert SLO(ttft_s, tpot_s).ttft_s == ttft_s
    else:
        with pytest.raises(InputError, match=r"^(ttft|tpot)_s: "):
            SLO(ttft_s, tpot_s)
