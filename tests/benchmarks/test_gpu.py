"""`make gpu`, in tiny sizes on a CPU: each step finds its rows, and what a step has found is kept."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from aptsched.scheduling.forms import CacheForm
from benchmarks.gpu.__main__ import HERE, STEPS, found_rows, main, parsed, run_step
from benchmarks.gpu.cuda_tests import ON_EACH_DEVICE, outcome
from benchmarks.gpu.generate import attempted, transformers_model
from benchmarks.gpu.kernels import Shape, least_work
from benchmarks.gpu.peaks import Peaks
from benchmarks.gpu.rig import Rig
from benchmarks.gpu.step import rows_file
from engine.models.decoder import Decoder
from engine.models.model import Model
from engine.session.engine import Engine
from engine.state.sampling_params import SamplingParams

WHOLE_S = 8 * 60
MISSING = ("gguf", "hypothesis", "jinja2", "matplotlib", "numba", "ortools", "pandas", "rich", "safetensors", "typer")
COLUMNS = {
    "kernels": {"what", "path", "error", "us", "of_roofline"},
    "decodes": {"what", "iteration_ms", "attention_ms", "of_roofline", "attention_over_KV"},
    "generate": {"model", "what", "ours_tokens_per_s", "theirs_tokens_per_s", "ratio"},
    "calibration": {"hidden_states", "fixed_ms", "rho_us", "r_squared", "absorb_up_to"},
    "live": {"policy", "rate_per_s", "live_s", "computed_s", "time_apart"},
}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Models are tiny here: more threads of torch wait for each other longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("step", COLUMNS)
def test_each_step_has_rows_in_tiny_sizes(step: str, tmp_path: Path) -> None:
    """With all columns that its table is read for; the peaks come before shares of them."""
    rows = list(importlib.import_module(f"benchmarks.gpu.{step}").rows(Rig("cpu", True, tmp_path)))
    if step in ("kernels", "decodes"):
        assert rows.pop(0)["what"] == "peaks"
    assert len(rows) > 1
    assert all(COLUMNS[step] <= row.keys() for row in rows)
    assert json.loads(json.dumps(rows)) == rows


@pytest.mark.usefixtures("one_thread")
def test_transformers_has_our_weights() -> None:
    """Not a copy, and in their places: in fp32 its greedy tokens are ours."""
    rig = Rig("cpu", True, Path())
    config = rig.config("opt-13b")
    weights = rig.weights(config)
    peer = transformers_model(config, weights)
    assert peer.model.decoder.layers[1].fc1.weight.data_ptr() == weights.layers[1].up.weight.data_ptr()
    prompt = torch.arange(7, 20)[None]
    theirs = peer.generate(prompt, max_new_tokens=8, do_sample=False, eos_token_id=None)[0, 13:].tolist()
    (ours,) = Engine(Model("opt", Decoder(config, weights)), num_blocks=4).generate(
        prompt.tolist(), SamplingParams(max_tokens=8, ignore_eos=True)
    )
    assert list(ours.token_ids) == theirs


def test_what_another_program_raises_is_a_row() -> None:
    """And does not end the step."""

    def raises() -> dict[str, object]:
        raise RuntimeError("out of memory")

    assert attempted(raises) == {"what": "failed", "why": "RuntimeError: out of memory"}


def test_a_step_that_ends_early_says_why_and_keeps_its_rows(tmp_path: Path) -> None:
    """By an error, or as its time is over; a row that was cut off is left out."""
    options = parsed(["--device", "cpu", "--tiny", "--out", str(tmp_path)])
    assert "benchmarks.gpu.no_step" in run_step("no_step", options, 60)["why"]
    assert run_step("kernels", options, 0.01)["why"] == "its 0.01 seconds are over"
    rows_file(tmp_path, "kernels").write_text('{"what": "one"}\n{"what": "tw')
    assert found_rows(tmp_path, "kernels") == [{"what": "one"}]
    assert found_rows(tmp_path, "live") == []


def test_the_whole_writes_what_its_steps_have_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A step in a process of its own: the tests that run on each device."""
    main(["--device", "cpu", "--tiny", "--steps", "cuda_tests", "--out", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out" / "gpu.json").read_text())
    (row,) = found["steps"]["cuda_tests"]["rows"]
    assert (row["file"], row["failed"], found["device"]) == ("test_wide_products", 0, "cpu")
    assert row["passed"] > 1
    assert "test_wide_products" in capsys.readouterr().out


def test_failures_of_tests_are_named(tmp_path: Path) -> None:
    """Also where a file has none that could be run."""
    report = tmp_path / "report.xml"
    assert outcome("test_x", report, "no module")["why"] == "no module"
    cases = '<testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c"><skipped/></testcase>'
    report.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    row = outcome("test_x", report, "E  assert 1 == 2")
    assert (row["passed"], row["failed"], row["skipped"]) == (1, 1, 1)
    assert row["why"] == "b: E  assert 1 == 2"


def test_all_steps_together_take_at_most_eight_minutes() -> None:
    """Each is a module of the benchmark."""
    assert sum(STEPS.values()) <= WHOLE_S
    assert all((HERE / "benchmarks" / "gpu" / f"{name}.py").exists() for name in STEPS)


def test_tests_of_each_device_are_all_run() -> None:
    """Those that ask which devices there are."""
    folder = HERE / "tests" / "engine" / "runner"
    using = {f"tests/engine/runner/{path.name}" for path in folder.glob("*.py") if "devices import" in path.read_text()}
    assert using == set(ON_EACH_DEVICE)


def test_it_runs_where_hardly_anything_is_installed() -> None:
    """Beside torch and numpy: machines with a GPU have no network to install from."""
    missing = "".join(f"sys.modules[{name!r}] = None; " for name in MISSING)
    modules = ", ".join(f"benchmarks.gpu.{name}" for name in ("__main__", "step", *STEPS))
    script = f"import sys; {missing}import {modules}; from engine.study.named_policies import named_policies; "
    script += "named_policies(['fcfs', 'vllm-v1', 'aptserve', 'bid-price'])"
    done = subprocess.run([sys.executable, "-c", script], cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_roofline_is_that_of_the_bytes_or_of_the_operations() -> None:
    """A decode of 3 requests with 20 tokens of 4 heads of 12, in 2 bytes, counted by hand."""
    config, shape = Rig("cpu", True, Path()).config("opt-13b", 1), Shape("opt-13b", 3, 20, 1)
    num_bytes, num_flops = least_work(config, shape, CacheForm.KV, 2)
    assert num_bytes == 2 * (63 * 96 + 3 * 96)
    assert num_flops == 4 * 63 * 48
    assert least_work(config, shape, CacheForm.HIDDEN, 2)[0] < num_bytes + 2 * 96 * 48
    assert Peaks(100.0, 10.0).least_s(200, 10) == 2.0
    assert Peaks(100.0, 10.0).least_s(200, 50) == 5.0
