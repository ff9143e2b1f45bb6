"""How far a long command is: what is drawn on a terminal, and what is said elsewhere."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.cli.run_progress import RunProgress
from aptsched.report.progress import FileProgress, Progress
from aptsched.support import file_progress
from aptsched.support.text_lines import CLEAR
from aptsched.workload import read_trace
from engine.calibration import measure
from engine.study.replay import Replay
from tiny_model import OPT, save_model


class Terminal(io.StringIO):
    """A terminal that does not know how wide it is."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_redrawn_and_cleared() -> None:
    """With what is left once two seconds have passed; not more often than five times a second unless it must be."""
    times, file = iter([0.0, 0.0, 0.1, 1.0, 4.0, 4.1, 4.1]), Terminal()
    progress = Progress(2000, "solves", file, lambda: next(times))
    for num_done, doing in ((0, "a"), (1, "b"), (2, "c"), (1000, "d")):
        progress.tell(num_done, doing)
    progress.tell(1001, "e", now=True)
    progress.close()
    drawn = ["0 of 2,000 solves: a", "2 of 2,000 solves: c", "1,000 of 2,000 solves, 4 s left: d"]
    assert file.getvalue().split(CLEAR) == ["", *drawn, "1,001 of 2,000 solves, 4 s left: e", ""]


def test_elsewhere_there_is_a_line_every_half_minute() -> None:
    """Nothing of what takes less, and nothing that only a terminal reads."""
    file, clock = io.StringIO(), itertools.count(step=10)
    progress = Progress(100, "requests ended", file, lambda: float(next(clock)))
    for num_done in range(7):
        progress.tell(num_done)
    progress.close()
    assert file.getvalue().splitlines() == [
        "2 of 100 requests ended, 24 min left",
        "5 of 100 requests ended, 19 min left",
    ]


@given(st.integers(1, 10**12), st.data(), st.text(max_size=300))
def test_a_line_never_wraps(total: int, data: st.DataObject, doing: str) -> None:
    """Whatever is done: what is drawn over must be one line."""
    file, times = Terminal(), iter([0.0, 1000.0])
    Progress(total, "entries", file, lambda: next(times)).tell(data.draw(st.integers(0, total)), doing)
    (line,) = file.getvalue().split(CLEAR)[1:]
    assert len(line) < 80 and line.isprintable()


def test_a_long_file_says_how_far_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In rising numbers up to its size, and a short one nothing but that it is read."""
    monkeypatch.setattr(file_progress, "EVERY", 10)
    path = tmp_path / "trace.csv"
    path.write_text("prompt_tokens,output_tokens\n" + "10,20\n" * 45)
    told: list[tuple[str, int, int]] = []
    with file_progress.watched(lambda *each: told.append(each)):
        assert len(read_trace(path)) == 45
    size = path.stat().st_size
    numbers = [num_read for _, num_read, _ in told]
    assert len(told) == 5 and numbers == sorted(numbers) and numbers[-1] == size
    assert {(name, of) for name, _, of in told} == {(str(path), size)}
    read_trace(path)
    assert len(told) == 5


def test_a_file_is_shown_in_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its line is gone at the end, so that the next one begins anew."""
    file = Terminal()
    monkeypatch.setattr("sys.stderr", file)
    progress = FileProgress()
    for num_read in (10**6, 3 * 10**7, 10**8):
        progress("big.csv", num_read, 10**8)
    assert file.getvalue() == f"{CLEAR}1 of 100 MB read: big.csv{CLEAR}"


def test_a_run_counts_under_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which run of how many it is, and on a terminal the requests that ended, also of a run that is broken off."""
    replay = Replay(np.arange(5.0), np.ones(5, np.int64), np.ones(5, np.int64))
    for file, counted in ((Terminal(), f"{CLEAR}1 of 5 requests ended{CLEAR}"), (io.StringIO(), "")):
        monkeypatch.setattr("sys.stderr", file)
        progress = RunProgress(2)
        for policy in ("fcfs", "aptserve"):
            for num_ended in range(3):
                progress(policy, replay, num_ended)
        progress.close()
        assert file.getvalue() == (
            f"fcfs: 5 requests, arriving over 4 s (run 1 of 2)\n{counted}"
            f"aptserve: 5 requests, arriving over 4 s (run 2 of 2)\n{counted}"
        )


def test_a_calibration_counts_its_measurements(tmp_path: Path) -> None:
    """Each once, and as many as it says there are, on a model whose context leaves some of them out."""
    from engine.models.model import load_model
    from engine.study import real_model

    told: list[tuple[int, int, str]] = []
    real_model.calibrated(load_model(save_model(tmp_path / "opt", OPT)), lambda *each: told.append(each))
    assert [each[:2] for each in told] == [(num_done, len(told)) for num_done in range(len(told))]
    assert 4 < len(told) < len(measure.PREFILLS) + 2 * len(measure.DECODES)  # in KV form and in int8
