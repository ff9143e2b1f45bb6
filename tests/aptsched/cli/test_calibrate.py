"""`aptsched calibrate`, on tiny models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aptsched.report.table import short_duration
from aptsched.scheduling.iteration_time import IterationTime
from caches import by_form
from commands import call
from engine.calibration import calibration_json
from engine.calibration.points import Point, fit
from engine.models.find_config import find_config
from tiny_model import LLAMA, OPT, save_model


def test_a_line_without_noise_is_found() -> None:
    """The times that made the points, and R^2 = 1."""
    times = IterationTime(fixed_s=0.02, per_token_s=1e-3, per_context_token_s=1e-5, rho_s_per_block=3e-4)
    blocks = {(4, 512): 36, (8, 4096): 264}
    sizes = [(n, c, by_form()) for n, c in ((16, 0), (256, 0), (1024, 0), *blocks)]
    sizes += [(*size, by_form(hidden=m)) for size, m in blocks.items()]
    points = [Point(*size, times.predict(*size), times.rho_s_per_block * sum(size[2])) for size in sizes]
    found, r_squared = fit(points)
    assert r_squared == pytest.approx(1)
    for name, value in vars(times).items():
        assert getattr(found, name) == pytest.approx(value), name


def test_a_form_that_takes_less_than_kv_has_a_rho_below_0() -> None:
    """As the points say: a block of a hidden request saves 0.1 ms, one of int8 0.2 ms."""
    plain = [Point(n, c, by_form(), 0.02 + 1e-3 * n + 1e-5 * c) for n, c in ((16, 0), (64, 0), (4, 512), (8, 4096))]
    forms = [Point(4, 512, by_form(hidden=m), 0.02, -1e-4 * m) for m in (36, 264)]
    forms += [Point(4, 512, by_form(int8=m), 0.02, -2e-4 * m) for m in (36, 264)]
    times, _ = fit([*plain, *forms])
    assert (times.rho_s_per_block, times.dequantise_s_per_block) == pytest.approx((-1e-4, -2e-4))


def test_table_plot_and_file_say_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a model with a hidden form: rho and R^2, a row for each measurement, and a file that can be read again."""
    model = save_model(tmp_path / "opt", OPT)
    assert call("calibrate", "--model", model, "--threads", "1", "--out", str(tmp_path / "out")) == 0
    out, err = capsys.readouterr()
    measured = calibration_json.load(tmp_path / "out" / "calibration.json")
    assert sum(line.startswith(("prefill", "decode")) for line in out.splitlines()) == len(measured.points) >= 8
    assert f"R^2 = {measured.r_squared:.3f}" in out and "decode, hidden" in out
    assert out.count("decode, int8") == out.count("decode, hidden") > 0
    assert f"int8: {short_duration(measured.times.dequantise_s_per_block)} for each block m" in out
    assert "prefill of 64 tokens" in err and "to the host and back" in err
    assert measured.swap_s_per_block > 0 and "A block swapped" in out
    by_shape = find_config(model).absorb_up_to
    assert 1 <= measured.absorb_up_to <= 2 * by_shape and f"({by_shape} by the model's shape)" in " ".join(out.split())
    kept = short_duration(measured.times.rebuild_s_per_block)
    assert measured.times.rebuild_s_per_block > 0 and f"convert a hidden request to KV takes {kept}" in " ".join(
        out.split()
    )
    assert "hidden states to K and V" in err and "absorbed and rebuilt" in err
    assert (tmp_path / "out" / "calibration.png").read_bytes().startswith(b"\x89PNG")
    assert [point.num_tokens for point in measured.points if not point.num_context_tokens] == [16, 64, 123, 247]


def test_hidden_states_may_be_measured_with_k_and_v_rebuilt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Then there is no switch; a way that is none is refused."""
    model = save_model(tmp_path / "opt", OPT)
    options = ["calibrate", "--model", model, "--threads", "1", "--hidden-attention"]
    assert call(*options, "rebuilt", "--out", str(tmp_path / "out")) == 0
    assert "Hidden states were read with K and V rebuilt." in capsys.readouterr().out
    assert calibration_json.load(tmp_path / "out" / "calibration.json").absorb_up_to == 0
    assert call(*options, "guessed") == 2
    assert "hidden_attention: 'guessed' is not accepted" in capsys.readouterr().err


def test_a_model_without_a_hidden_form_has_no_rho(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its hidden states take as much as K and V or more; --json prints the file."""
    model = save_model(tmp_path / "llama", LLAMA)
    assert call("calibrate", "--model", model, "--threads", "1", "--out", str(tmp_path / "out"), "--json") == 0
    out = capsys.readouterr().out
    document = json.loads(out)
    assert (tmp_path / "out" / "calibration.json").read_text() == out
    assert document["schema"] == "aptsched.calibration" and document["r_squared"] is None
    assert document["absorb_up_to"] == document["times"]["rebuild_s_per_block"] == 0
    assert document["times"]["rho_s_per_block"] == 0 and document["times"]["fixed_s"] >= 0
    assert not (tmp_path / "out" / "calibration.png").exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--model", "missing"], ["model", "'missing'"]),
        (["--threads", "0"], ["threads", "0"]),
        (["--dtype", "int4"], ["dtype", "'int4'"]),
        (["--device", "abacus"], ["device", "'abacus'"]),
        (["--out", ""], ["out", "empty"]),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    """Field, value and what is accepted."""
    model = save_model(tmp_path / "opt", OPT)
    assert call("calibrate", "--model", model, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert all(part in err for part in parts), err
