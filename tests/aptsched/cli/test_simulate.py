"""`aptsched simulate` and `aptsched list`, as a user runs them."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest

from aptsched.cli import main
from aptsched.policies.named import CLASSES
from engine.models.known_models import MODELS
from engine.simulator.gpus import GPUS
from engine.study.simulated_replays import simulated_replays

SMALL = ("simulate", "--workload", "humaneval", "--num-requests", "12", "--jobs", "1")


PRICED = ("--executed-rho", repr(16 * (4 * 5120**2 * 40 / (312e12 * 0.79))))  # as computed of OPT-13B on A100


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_tables_and_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A row for each policy, a line for each request, and certificates of Apt-Serve that hold."""
    code, out, _ = run(capsys, *SMALL, "--policy", "fcfs", "sjf", "aptserve", "--out", str(tmp_path))
    assert code == 0 and "Jain's index" in out and "910 blocks" in out
    with (tmp_path / "requests.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 36 and {row["policy"] for row in rows} == {"fcfs", "sjf", "aptserve"}
    assert {path.name for path in tmp_path.iterdir()} >= {"results.json", "attainment.png", "timeline.png"}
    code, out, _ = run(capsys, "verify", str(tmp_path / "certificates-aptserve.jsonl"))
    assert code == 0


def test_equal_seeds_give_equal_bytes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Every file is the same in one process and in two, and differs with another seed."""
    rates = ("--rate", "3", "6", "--policy", "fcfs,aptserve")
    for name, more in (("one", ()), ("two", ("--jobs", "2")), ("other", ("--seed", "1"))):
        assert run(capsys, *SMALL, *rates, "--out", str(tmp_path / name), *more)[0] == 0
    one, two, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two", "other")
    )
    assert one == two and one.keys() == other.keys()
    assert one["requests.csv"] != other["requests.csv"]


def test_certificates_are_plain_compressed_or_none(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The same decisions, to equal bytes each time; results.json says which, and counts them all the same."""
    found, counts = {}, set()
    for name in ("plain", "gzip", "none", "again"):
        kind = name.replace("again", "gzip")
        options = ("--policy", "aptserve", "--rate", "3", "9", "--certificates", kind, "--out", str(tmp_path / name))
        assert run(capsys, *SMALL, *options)[0] == 0
        found[name] = {path.name: path.read_bytes() for path in (tmp_path / name).glob("certificates*")}
        document = json.loads((tmp_path / name / "results.json").read_text())
        assert document["options"]["certificates"] == kind
        counts.add(tuple(summary["num_certified"] for summary in document["summary"]))
    assert found["none"] == {} and len(found["plain"]) == 2 and len(counts) == 1
    assert {f"{name}.gz": text for name, text in found["plain"].items()} == {
        name: gzip.decompress(text) for name, text in found["gzip"].items()
    }
    assert found["gzip"] == found["again"]


def test_warm_up_is_served_and_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Later requests and iterations are the same with a warm-up as without, and only they are counted."""
    documents = []
    for more in ((), ("--warmup", "1")):
        code, out, _ = run(capsys, *SMALL, "--policy", "fcfs", "--json", *more)
        assert code == 0
        documents.append(json.loads(out))
    whole, later = (document["summary"][0] for document in documents)
    assert 0 < later["num_requests"] < whole["num_requests"]
    assert later["num_warmup_iterations"] + later["num_iterations"] == whole["num_iterations"]
    assert 0 < later["busy_s"] < whole["busy_s"] and later["kv_block_s"] < whole["kv_block_s"]


def test_what_is_beyond_the_context_is_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A prompt beyond 2,048 tokens, an output that would pass them: both are reported, one is rejected."""
    trace = tmp_path / "trace.csv"
    trace.write_text("arrived_at_s,prompt_tokens,output_tokens\n0,3000,5\n0,2040,20\n0,30,4\n")
    code, out, _ = run(capsys, "simulate", "--trace", str(trace), "--policy", "fcfs", "--json", "--jobs", "1")
    document = json.loads(out)
    assert code == 0 and document["replays"][0]["num_beyond_context"] == 2
    assert [each["request_id"] for each in document["rejected"]] == [0]
    assert document["summary"][0]["num_finished"] == 2


def test_how_hidden_states_are_read_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Absorbed by default, at no rho for OPT; rebuilt at the paper's, as also where a price of rebuilding is given."""
    found = {}
    for name, more in (("absorbed", ()), ("rebuilt", ("--hidden-attention", "rebuilt")), ("priced", PRICED)):
        code, out, _ = run(capsys, *SMALL, "--policy", "aptserve:forms=hidden", "--rate", "6", *more, "--json")
        found[name] = json.loads(out)
        assert code == 0 and ("absorbed" in found[name]["cost"]) == (name == "absorbed")
    rho = {name: document["times"]["rho_s_per_block"] for name, document in found.items()}
    assert abs(rho["absorbed"]) < 1e-12 and rho["rebuilt"] == found["absorbed"]["times"]["rebuild_s_per_block"] > 0
    busy_s = {name: document["summary"][0]["busy_s"] for name, document in found.items()}
    assert busy_s["absorbed"] < busy_s["rebuilt"] == busy_s["priced"]
    assert found["absorbed"]["options"]["hidden_attention"] == "absorbed"


def test_believed_rho_changes_decisions_and_not_costs(capsys: pytest.CaptureFixture[str]) -> None:
    """Both settings are in the results, apart."""
    code, out, _ = run(capsys, *SMALL, "--rho", "0.25", "--executed-rho", "0.5", "--json")
    document = json.loads(out)
    assert code == 0 and document["times"]["rho_s_per_block"] == 0.25
    assert document["cost"]["executed_rho_s_per_block"] == 0.5


def test_what_swaps_take_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Copies of single blocks take longest, groups beside the computing the least; equal runs give equal bytes."""
    texts: dict[str, str] = {}
    for name, swap in (("bytes", ()), ("blocks", ("--swap", "blocks")), *[("grouped", ("--swap", "grouped"))] * 2):
        options = ("--policy", "priority:frequency=0:ahead", "--rate", "30", "--num-blocks", "60", "--json")
        code, out, _ = run(capsys, *SMALL, *options, *swap)
        assert code == 0 and texts.setdefault(name, out) == out
    documents = {name: json.loads(out) for name, out in texts.items()}
    assert {name: document["options"]["swap"] for name, document in documents.items()} == {n: n for n in documents}
    busy_s = {name: document["summary"][0]["busy_s"] for name, document in documents.items()}
    assert busy_s["grouped"] < busy_s["bytes"] < busy_s["blocks"]


def test_swap_space_is_given_in_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    """Four pools by default, whole blocks where it is given; requests and blocks that were swapped are counted."""
    documents = []
    for more in ((), ("--swap-space", "1GB"), ("--swap-space", "0")):
        options = ("--policy", "fastserve", "--rate", "30", "--num-blocks", "60", "--json", *more)
        code, out, _ = run(capsys, *SMALL, *options)
        assert code == 0
        documents.append(json.loads(out))
    assert [document["cache"]["num_host_blocks"] for document in documents] == [240, 10**9 // 13107200, 0]
    for document in documents:
        (summary,) = document["summary"]
        swaps, on_host = summary["num_swap_outs"], document["cache"]["num_host_blocks"]
        assert summary["num_finished"] == 12
        assert (swaps > 0) == (summary["num_swapped_blocks"] > 0) == (on_host > 0)


def test_a_model_from_its_config_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Its sizes and what is assumed of it are in the results, by the file as by its directory."""
    path = tmp_path / "Mine-1B" / "config.json"
    path.parent.mkdir()
    sizes = {"n_embd": 64, "n_head": 4, "n_layer": 2, "n_inner": 96, "vocab_size": 50, "n_positions": 3000}
    path.write_text(json.dumps({"model_type": "mine", "activation_function": "relu", **sizes}))
    documents = []
    for model in (path.parent, path):
        code, out, _ = run(capsys, *SMALL, "--policy", "fcfs", "--num-blocks", "200", "--json", "--model", str(model))
        assert code == 0
        documents.append(json.loads(out))
    one, other = documents
    assert one["model"] == other["model"]
    assert {**one["model"], "gated": False, "num_position_rows": 0, "biases": "none"} == one["model"]
    assert (one["model"]["name"], one["model"]["head_dim"], one["model"]["max_positions"]) == ("Mine-1B", 16, 3000)
    assert any("model_type 'mine' is not known" in notice for notice in one["notices"])
    assert "roofline of Mine-1B" in one["cost"]["source"]


def test_a_model_that_cannot_be_counted(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """One line with the file, the field and the reason, and exit code 2."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "mine", "num_local_experts": 8}))
    code, out, err = run(capsys, *SMALL, "--model", str(tmp_path))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert (
        "config.json: num_local_experts: 8 is not accepted: mixtures of experts of this model_type are not counted"
        in err
    )


def test_duration() -> None:
    """All requests of 20 s at 6 a second come, about 120, and a longer time begins with the same rate."""
    from aptsched.scheduling.record import SLO
    from engine.study.arrival_source import ArrivalSource

    (replay,) = simulated_replays(ArrivalSource(workload="humaneval"), [6.0], SLO(), 20.0)
    assert 80 < len(replay) < 160 and replay.last_arrival_s < 20


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--policy", "best"), f"policy: 'best' is not known; {', '.join(CLASSES)} and path.py:Name are, and any"),
        (("--swap", "fast"), "swap: 'fast' is not accepted; bytes, blocks, grouped are"),
        (("--model", "gpt-5"), ", ".join(MODELS)),
        (("--gpu", "abacus"), ", ".join(GPUS)),
        (("--model", "opt-66b"), "does not fit on 1 x a100-40gb, by 93.8 GB"),
        (("--tp", "3"), "tp: 3"),
        (("--cost", "guess"), "fits, roofline or a file"),
        (("--duration", "5"), "num_requests, duration: both are given"),
        (("--warmup", "1e9"), "warmup"),
        (("--jobs", "0"), "jobs: 0"),
        (("--num-blocks", "0"), "num_blocks: 0"),
        (("--swap-space", "lots"), "swap_space: 'lots' is not accepted"),
        (("--swap-space", "-1"), "swap_space: '-1' is not accepted"),
        (("--swap-space", "1MB"), "swap_space: '1MB' is not accepted; a block takes 13107200 bytes"),
        (("--hidden-attention", "no"), "hidden_attention: 'no' is not accepted; absorbed and rebuilt are"),
        (("--rho", "-1"), "rho_s_per_block: -1"),
        (("--executed-rho", "-1"), "executed_rho: -1"),
        (("--slo-ttft", "0"), "ttft_s: 0"),
        (("--slo-ttft", "inf"), "ttft_s: inf is not accepted; a finite number"),
        (("--slo-tpot", "inf"), "tpot_s: inf is not accepted; a finite number"),
        (("--slo-tpot", "nan"), "tpot_s: nan"),
        (("--slo-ttft", "-inf"), "ttft_s: -inf"),
        (("--seed", "-1"), "seed: -1"),
        (("--certificates", "zip"), "certificates: 'zip' is not accepted; plain, gzip, none are"),
        (("--certificates", "gzip"), "certificates: gzip is not accepted without --out"),
    ],
)
def test_bad_input(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str) -> None:
    """One line that says what there is or what is accepted, and exit code 2."""
    code, out, err = run(capsys, *SMALL, *arguments)
    assert (code, out) == (2, "") and message in err and err.count("\n") == 1


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Policies, models, GPUs, workloads and methods are all there."""
    code, out, _ = run(capsys, "list")
    assert code == 0
    for name in ("fastserve", "sjf", *MODELS, *GPUS, "sharegpt", "azure-code", "cpsat", "greedy"):
        assert name in out
