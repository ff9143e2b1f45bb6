"""A calibration is read if it is one, and taken for what it was measured on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aptsched.scheduling.forms import CacheShape
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.errors import InputError
from caches import by_form
from commands import call
from engine.calibration import calibration_json
from engine.calibration.foreign import check_run, check_simulation
from engine.calibration.measure import Calibration
from engine.calibration.points import Point
from engine.models.model_names import is_named_as, same_device, same_model
from engine.simulator.believed import believed
from engine.simulator.cost import by_profile
from engine.study.simulate import simulate

POINTS = (
    *(Point(n, 0, by_form(), 0.01 + n * 1e-3) for n in (16, 64, 256)),
    *(Point(n, n * 64, by_form(), 0.01 + n * 1e-3) for n in (1, 4, 8)),
    Point(4, 512, by_form(hidden=36), 0.02, 0.004),
)
TIMES = IterationTime(0.01, 1e-3, 1e-6, 1e-4, rebuild_s_per_block=2e-4)


def measured(model: str = "opt-125m", device: str = "cpu", dtype: str = "fp32") -> Calibration:
    return Calibration(model, device, dtype, TIMES, 0.9, POINTS, 1e-4, 70)


def saved(directory: Path, **names: str) -> str:
    calibration_json.save(measured(**names), directory / "calibration.json")
    return str(directory / "calibration.json")


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(calibration_json.as_json(measured()))
    return found


MAY_BE_MISSING = {"extra_s", "swap_s_per_block", "rebuild_s_per_block", "absorb_up_to"}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every field, and without the swaps, which may be missing."""
    assert calibration_json.load(saved(tmp_path)) == measured()
    without = {name: value for name, value in document().items() if name != "swap_s_per_block"}
    (tmp_path / "calibration.json").write_text(json.dumps(without))
    assert calibration_json.load(tmp_path / "calibration.json").swap_s_per_block == 0


def test_a_file_from_before_conversions_were_measured_is_read(tmp_path: Path) -> None:
    """K and V were rebuilt in each iteration, at rho, and take that once; what a form adds may be below 0."""
    earlier = document()
    del earlier["times"]["rebuild_s_per_block"], earlier["absorb_up_to"]
    (tmp_path / "calibration.json").write_text(json.dumps(earlier))
    found = calibration_json.load(tmp_path / "calibration.json")
    assert found.times.rebuild_s_per_block == TIMES.rho_s_per_block and found.absorb_up_to == 0
    less = document() | {"times": {**document()["times"], "rho_s_per_block": -1e-5, "dequantise_s_per_block": -1e-6}}
    (tmp_path / "calibration.json").write_text(json.dumps(less))
    times = calibration_json.load(tmp_path / "calibration.json").times
    assert (times.rho_s_per_block, times.dequantise_s_per_block) == (-1e-5, -1e-6)


def at(name: str) -> Callable[[dict[str, Any]], tuple[Any, Any]]:
    """The place of a field of the file itself."""
    return lambda d: (d, name)


PLACES: dict[str, Callable[[dict[str, Any]], tuple[Any, Any]]] = {
    **{name: at(name) for name in ("model", "device", "dtype", "r_squared", "times", "points")},
    "swap_s_per_block": at("swap_s_per_block"),
    "absorb_up_to": at("absorb_up_to"),
    "fixed_s": lambda d: (d["times"], "fixed_s"),
    "rho_s_per_block": lambda d: (d["times"], "rho_s_per_block"),
    "rebuild_s_per_block": lambda d: (d["times"], "rebuild_s_per_block"),
    "points[3]": lambda d: (d["points"], 3),
    "seconds": lambda d: (d["points"][2], "seconds"),
    "extra_s": lambda d: (d["points"][6], "extra_s"),
    "num_tokens": lambda d: (d["points"][0], "num_tokens"),
    "num_context_tokens": lambda d: (d["points"][0], "num_context_tokens"),
}
WRONG = ["NaN", "Infinity", "-Infinity", "1e999", "-1e300", "1e300", "true", "[]", "{}", "[[1]]", "9" * 20, "9" * 5000]
WRONG += ["[" * 100_000 + "]" * 100_000, '"' + "x" * 100_000 + '"']


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("wrong", WRONG, ids=lambda text: text[:12])
def test_a_field_that_is_no_such_thing_is_one_short_message(name: str, wrong: str, tmp_path: Path) -> None:
    """It names the field, or where the JSON itself is none, says that; nothing else is raised."""
    changed = document()
    owner, key = PLACES[name](changed)
    owner[key] = "HERE"
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(changed).replace('"HERE"', wrong))
    if (name, wrong) in {("points", "[]")}:
        assert calibration_json.load(path).points == ()
        return
    with pytest.raises(InputError) as caught:
        calibration_json.load(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ") and len(said) < len(str(path)) + 300
    unreadable = wrong in ("NaN", "Infinity", "-Infinity") or len(wrong) == 5000 or len(wrong) > 150_000
    assert unreadable or name in said, said


@pytest.mark.parametrize("place", [lambda d: d, lambda d: d["times"], lambda d: d["points"][4]])
def test_missing_and_unknown_fields_are_named(place: Callable[[Any], dict[str, Any]], tmp_path: Path) -> None:
    """Of the document, the times and a point; what earlier files lack may be missing."""
    path = tmp_path / "calibration.json"
    for name in set(place(document())) - MAY_BE_MISSING - {"schema", "version"}:
        changed = document()
        del place(changed)[name]
        path.write_text(json.dumps(changed))
        with pytest.raises(InputError, match=f"{name}: missing in"):
            calibration_json.load(path)
    changed = document()
    place(changed)["speed"] = 1
    path.write_text(json.dumps(changed))
    with pytest.raises(InputError, match='"speed": unknown in'):
        calibration_json.load(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(10**30), 10**30) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(PLACES)), value=JSON)
def test_whatever_is_read_can_be_used(name: str, value: Any, tmp_path: Path) -> None:
    """As a cost and as what policies believe; or it is refused."""
    changed = document()
    owner, key = PLACES[name](changed)
    owner[key] = value
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(changed))
    try:
        times = believed(by_profile(calibration_json.load(path), CacheShape()))
    except InputError:
        return
    assert all(math.isfinite(seconds) for seconds in vars(times).values())


@pytest.mark.parametrize("changes", [{"model": "opt-13b"}, {"dtype": "bf16"}, {"device": "cuda:1"}])
def test_a_calibration_of_something_else_is_refused_or_said(changes: dict[str, str]) -> None:
    """Both are named, and the option that takes it."""
    of: dict[str, Any] = {"model": "opt-125m", "dtype": "fp32", "device": "cpu", **changes}
    with pytest.raises(InputError, match=r"calibration of opt-125m in fp32 on cpu is not .* --foreign-calibration any"):
        check_run(measured(), **of)
    (said,) = check_run(measured(), **of, foreign=True)
    assert f"{of['model']} in {of['dtype']} on {of['device']} is run" in said
    assert check_run(measured(), "opt-125m", "fp32", "cpu") == []


def test_a_model_is_known_by_the_end_of_its_path_and_a_device_by_its_number() -> None:
    """However the path leads there; the MHA twin is another model."""
    assert same_model("models/opt-125m/", "/home/me/models/OPT-125m") and not same_model("opt-125m", "opt-13b")
    assert not same_model("smollm2", "smollm2 (MHA twin)") and same_model("x/m (MHA twin)", "m (MHA twin)")
    assert same_device("cuda", "cuda:0") and not same_device("cuda", "cuda:1") and not same_device("cuda", "cpu")


@pytest.mark.parametrize(
    ("model", "name", "same"),
    [
        ("smollm2", "smollm2-135m", True),
        ("smollm2 (MHA twin)", "smollm2-135m", False),
        ("hub/SmolLM2-135M-Instruct.Q8_0.gguf", "smollm2-135m", True),
        ("models/opt-125m", "opt-125m", True),
        ("models/Mine-7B", "Mine-7B", True),  # as a config.json in a directory of that name
        ("mine-7b.Q8_0.gguf", "Mine-7B", True),
        ("opt-13b", "opt-125m", False),
        ("opt-1", "opt-13b", False),
        ("llama-3-8b", "llama-2-7b", False),
        ("opt-13bx", "opt-13b", False),
    ],
)
def test_a_calibration_fits_the_model_that_it_is_called_after(model: str, name: str, same: bool) -> None:
    """And more may stand behind the name; on several GPUs nothing was measured."""
    assert is_named_as(model, name) == same
    if same:
        (said,) = check_simulation(measured(model), name, "h100", 1)
        assert "in fp32 on cpu; h100 gives the memory and nothing else" in said
    with pytest.raises(InputError, match="--foreign-calibration any"):
        check_simulation(measured(model), name, "h100", 2 if same else 1)
    assert len(check_simulation(measured(model), name, "h100", 2, foreign=True)) == 2


def test_a_simulation_says_whose_times_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In its notices; of another model only where that is asked for."""
    file = saved(tmp_path)
    work = ["simulate", "--workload", "humaneval", "--num-requests", "5", "--policy", "fcfs", "--jobs", "1", "--json"]
    assert call(*work, "--model", "opt-125m", "--cost", file) == 0
    (said,) = json.loads(capsys.readouterr().out)["notices"]
    assert said.startswith("Times are those of a calibration of opt-125m in fp32 on cpu")
    assert call(*work, "--cost", file) == 2
    assert "where opt-13b on 1 x a100-40gb is simulated" in capsys.readouterr().err
    assert call(*work, "--cost", file, "--foreign-calibration") == 0
    document = json.loads(capsys.readouterr().out)
    assert "may be far from true" in document["notices"][1] and "notices" not in document["cost"]
    assert call(*work, "--foreign-calibration") == 2
    assert "foreign_calibration: it is given without a calibration" in capsys.readouterr().err


def test_a_simulation_reads_hidden_states_as_they_were_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Absorbed up to as many tokens; where K and V were rebuilt, they are, and a notice says so."""
    work = ["simulate", "--model", "opt-125m", "--workload", "humaneval", "--num-requests", "5", "--policy", "fcfs"]
    assert call(*work, "--jobs", "1", "--json", "--cost", saved(tmp_path)) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["cost"]["absorbed"]["up_to"] == 70 and len(document["notices"]) == 1
    calibration_json.save(replace(measured(), absorb_up_to=0), tmp_path / "calibration.json")
    assert call(*work, "--jobs", "1", "--json", "--cost", str(tmp_path / "calibration.json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert "absorbed" not in document["cost"] and "K and V are rebuilt" in document["notices"][1]


@pytest.mark.parametrize(
    ("policy", "form", "executed_rho", "is_said"),
    [
        ("aptserve:forms=kv+int8", "int8", None, True),
        ("aptserve:forms=hybrid+int8", "int8", 1e-4, True),
        ("aptserve", "int8", None, False),
        ("fcfs", "int8", None, False),
        ("aptserve", "hidden", None, True),
        ("aptserve", "hidden", 1e-4, False),
        ("aptserve:forms=kv", "hidden", None, False),
    ],
)
def test_a_form_that_a_calibration_lacks_is_said_where_a_policy_wants_it(
    policy: str, form: str, executed_rho: float | None, is_said: bool, tmp_path: Path
) -> None:
    """Its reading looks free: said of files from before int8 was measured, and not where a price is given."""
    known = replace(measured(), points=tuple(p for p in POINTS if form == "int8" or not any(p.kv_blocks_by_form)))
    calibration_json.save(known, tmp_path / "calibration.json")
    found = simulate(
        model="opt-125m",
        cost=tmp_path / "calibration.json",
        policy=policy,
        workload="humaneval",
        num_requests=5,
        executed_rho=executed_rho,
    )
    said = f"The calibration has no iteration in {form} form: "
    assert any(notice.startswith(said) for notice in found.notices) == is_said
    assert "unmeasured" not in found.document["cost"]


@pytest.mark.parametrize(
    ("model", "policy", "said"),
    [
        ("llama-3-8b", "aptserve", True),
        ("llama-3-8b", "aptserve:forms=hidden", True),
        ("llama-3-8b", "aptserve:forms=kv", False),
        ("llama-3-8b", "fcfs", False),
        ("opt-13b", "aptserve", False),
    ],
)
def test_a_hidden_form_that_is_never_used_is_said(
    model: str, policy: str, said: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its ratio, where a policy could have used it; in the results and below the tables."""
    gpu = ["--model", model, "--gpu", "a100-40gb"]
    work = ["simulate", *gpu, "--workload", "humaneval", "--num-requests", "5", "--policy", policy, "--jobs", "1"]
    notice = "The hidden form is never used: its ratio to KV is 2, and only below 1 does it take less memory."
    assert call(*work, "--json") == 0
    assert (notice in json.loads(capsys.readouterr().out)["notices"]) == said
    assert call(*work) == 0
    assert (notice in " ".join(capsys.readouterr().out.split())) == said


def test_snapshots_say_so_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, and in the document of the gap study."""
    of = ["--workload", "sharegpt", "--hidden-ratio", "4/3"]
    assert call("snapshot", *of, "--out", str(tmp_path / "queue.json")) == 0
    assert "note: The hidden form is never used: its ratio to KV is 4/3" in capsys.readouterr().err
    assert call("gap", *of, "--num-requests", "10", "--methods", "greedy", "--instances", "1", "--json") == 0
    assert any("is 4/3, and only" in notice for notice in json.loads(capsys.readouterr().out)["notices"])
