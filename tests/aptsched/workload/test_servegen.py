"""Requests drawn from ServeGen's data of clients: rates, bursts, lengths and tenants are those of the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aptsched.support.errors import InputError
from aptsched.workload import Trace, draw_servegen

BURSTY, STEADY = 3, 12  # clients
RATES = {
    BURSTY: "0,0,0,,0,0\n600,0.5,3.16,Gamma,0.1,2.0\n1200,1.25,3.16,Gamma,0.1,2.0\n1800,0,0,,0,0\n",
    STEADY: "0,0.1,0.7,Weibull,1.5,1.0\n600,0.2,0.7,Weibull,1.5,1.0\n1200,0.4,0.7,Weibull,1.5,1.0\n1800,0,0,,0,0\n",
}
LENGTHS = {
    BURSTY: {"0": ("{}", "{}"), "600": ("{10: 0.25, 30: 0.75}", "{1: 1.0}")},
    STEADY: {"0": ("{500: 1.0}", "{7: 0.5, 9: 0.5}"), "1200": ("{600: 1.0}", "{8: 1.0}")},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clients, as they are published."""
    for number, rates in RATES.items():
        (tmp_path / f"chunk-{number}-trace.csv").write_text(rates)
        fields = ("input_tokens", "output_tokens")
        lengths = {start: dict(zip(fields, texts, strict=True)) for start, texts in LENGTHS[number].items()}
        (tmp_path / f"chunk-{number}-dataset.json").write_text(json.dumps(lengths, indent=2))
    return tmp_path


def drawn(folder: Path, start_s: float = 0.0, duration_s: float = 1800.0, seed: int = 0) -> Trace:
    return draw_servegen(folder, start_s, duration_s, np.random.default_rng(seed))


def test_each_client_sends_as_many_as_its_rates_say(folder: Path) -> None:
    """In every window, as a tenant of its own; at fractions of a request one more or less."""
    trace = drawn(folder)
    assert trace.arrived_at_s is not None and trace.own.tenant is not None
    assert trace.own.tenants == ("client 3", "client 12")
    for place, expected in enumerate([[0, 300, 750], [60, 120, 240]]):
        at_s = trace.arrived_at_s[trace.own.tenant == place]
        assert np.histogram(at_s, [0, 600, 1200, 1800])[0].tolist() == expected


def test_lengths_are_those_of_the_latest_window_that_has_any(folder: Path) -> None:
    """Of each client, with the shares that are given."""
    trace = drawn(folder)
    assert trace.arrived_at_s is not None and trace.own.tenant is not None
    bursty = trace.own.tenant == 0
    assert set(trace.prompt_tokens[bursty].tolist()) == {10, 30} and set(trace.output_tokens[bursty].tolist()) == {1}
    assert np.mean(trace.prompt_tokens[bursty] == 30) == pytest.approx(0.75, abs=0.05)
    before = ~bursty & (trace.arrived_at_s < 1200)
    assert set(trace.prompt_tokens[before].tolist()) == {500} and set(trace.output_tokens[before].tolist()) == {7, 9}
    assert set(trace.output_tokens[~bursty & ~before].tolist()) == {8}


def test_gaps_are_as_bursty_as_their_shape(folder: Path) -> None:
    """The mean CV over 40 seeds: near 3.16 for a Gamma of shape 0.1, near 0.68 for a Weibull of shape 1.5."""
    cvs = []
    for seed in range(40):
        trace = drawn(folder, 1200, 600, seed)
        assert trace.arrived_at_s is not None and trace.own.tenant is not None
        gaps = [np.diff(trace.arrived_at_s[trace.own.tenant == place]) for place in (0, 1)]
        cvs.append([each.std() / each.mean() for each in gaps])
    assert np.mean(cvs, axis=0) == pytest.approx([3.16, 0.68], rel=0.05)


def test_a_part_of_the_time_is_that_part_of_its_windows(folder: Path) -> None:
    """From the middle of a window to the middle of the next: the first possible arrival is at 0."""
    trace = drawn(folder, 900, 600)
    assert trace.arrived_at_s is not None
    assert 0 <= trace.arrived_at_s[0] and trace.last_arrival_s < 600
    assert len(trace) == pytest.approx((0.5 + 1.25 + 0.2 + 0.4) * 300, rel=0.25)


def test_equal_seeds_give_equal_requests(folder: Path) -> None:
    """And others others."""
    first, again, other = drawn(folder), drawn(folder), drawn(folder, seed=1)
    assert first.arrived_at_s is not None and other.arrived_at_s is not None
    np.testing.assert_array_equal(first.arrived_at_s, again.arrived_at_s)
    np.testing.assert_array_equal(first.prompt_tokens, again.prompt_tokens)
    assert not np.array_equal(first.arrived_at_s[:100], other.arrived_at_s[:100])


def test_a_window_without_lengths_is_left_out_and_said(folder: Path) -> None:
    """A client that sends before any lengths of its are known."""
    rates = folder / f"chunk-{BURSTY}-trace.csv"
    rates.write_text(RATES[BURSTY].replace("0,0,0,,0,0", "0,2.0,3.16,Gamma,0.1,2.0", 1))
    trace = drawn(folder, 0, 600)
    assert trace.own.tenants == ("client 12",) and trace.notices[0].endswith("left out: 1 window.")


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("trace", "600,0.5", "x,0.5", "line 2, column start: 'x' is not accepted"),
        ("trace", "600,0.5", "600,nan", "line 2, column rate: 'nan' is not accepted"),
        ("trace", "600,0.5", "600,1e9", "over 10000000 requests in 1800 s are not accepted"),
        ("trace", "Gamma,0.1", "Pareto,0.1", "line 2, column pattern: 'Pareto' is not accepted; Gamma or Weibull is"),
        ("trace", "Gamma,0.1", "Gamma,-1", "line 2, column shape: '-1' is not accepted"),
        (
            "trace",
            "Gamma,0.1",
            "Gamma,1e-9",
            "line 2, column shape: '1e-9' is not accepted; a number from 0.005 to 200",
        ),
        ("trace", "3.16,", "3.16,,", "line 2, column 7: "),
        ("dataset", '"600"', '"six"', "'six': not accepted"),
        ("dataset", '"600"', f'"{"9" * 5000}"', "not accepted; seconds, each with an object, are"),
        ("dataset", '"600"', '"\u0666"', "not accepted; seconds, each with an object, are"),
        ("dataset", '"600"', "600", "not JSON"),
        ("dataset", "{10: 0.25", "{10: -0.25", "600, input_tokens: "),
        ("dataset", "{10: 0.25", "{1.5: 0.25", "600, input_tokens: "),
        ("dataset", "{1: 1.0}", "{1: 0.0}", "600, output_tokens: "),
        ("dataset", "{1: 1.0}", "__import__('os').getcwd()", "600, output_tokens: "),
        ("dataset", "{1: 1.0}", "{1: 1e308, 2: 1e308}", "600, output_tokens: "),
        ("dataset", "{1: 1.0}", "[1]", "600, output_tokens: "),
        ("dataset", "input_tokens", "text_tokens", "input_tokens: None is not accepted"),
    ],
)
def test_damaged_data_are_one_message(folder: Path, name: str, old: str, new: str, message: str) -> None:
    """It names the file, and what in it; no text of a file is run."""
    path = next(folder.glob(f"chunk-{BURSTY}-{name}.*"))
    path.write_text(path.read_text().replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        drawn(folder)
    said = str(caught.value)
    assert said.startswith(str(path)) and message in said and "\n" not in said


def test_what_is_no_directory_of_clients_is_refused(folder: Path, tmp_path: Path) -> None:
    """One that is not there, one without files of clients, and a time in which nobody comes."""
    with pytest.raises(InputError, match="cannot be read"):
        drawn(folder / "missing")
    with pytest.raises(InputError, match="no client sends a request in this time"):
        drawn(folder, 1800)
    with pytest.raises(InputError, match="duration: 0"):
        drawn(folder, 0, 0)
    (folder / f"chunk-{STEADY}-dataset.json").unlink()
    with pytest.raises(InputError, match=r"chunk-12-dataset\.json: cannot be read"):
        drawn(folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.copy(folder / f"chunk-{STEADY}-trace.csv", empty / "trace.csv")
    with pytest.raises(InputError, match="no chunk-1-trace"):
        drawn(empty)
