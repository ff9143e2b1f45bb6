"""Models and GPUs against published figures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from aptsched import InputError
from engine.simulator.gpu_memory import num_blocks
from engine.simulator.gpus import GPUS, find_gpu
from engine.simulator.shapes import MODELS, ModelShape, find_model

PUBLISHED = {
    "opt-125m": 125_239_296,
    "llama-2-7b": 6_738_415_616,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "qwen2.5-14b": 14_770_033_664,
    "smollm2-135m": 134_515_008,
}
TOML = "flops_per_s = 1e14\nbandwidth_bytes_per_s = 1e12\nmemory_bytes = 4.8e10\npcie_bytes_per_s = 3.2e10\n"


@pytest.mark.parametrize("name", PUBLISHED)
def test_number_of_parameters(name: str) -> None:
    """The weights add up to the number of parameters published with the model."""
    assert MODELS[name].num_params == PUBLISHED[name]


@pytest.mark.parametrize(("name", "gigabytes"), [("opt-13b", 25.71), ("opt-30b", 59.95), ("opt-66b", 131.4)])
def test_weights_of_opt(name: str, gigabytes: float) -> None:
    """16-bit weights of OPT in gigabytes."""
    assert MODELS[name].weight_bytes / 1e9 == pytest.approx(gigabytes, rel=3e-4)


@pytest.mark.parametrize(("name", "kv"), [("opt-13b", 819_200), ("opt-30b", 1_376_256), ("opt-66b", 2_359_296)])
def test_bytes_of_a_token(name: str, kv: int) -> None:
    """A KV token of OPT, and half of it in hidden form."""
    assert (MODELS[name].kv_bytes, MODELS[name].hidden_bytes) == (kv, kv // 2)


def test_hidden_ratios() -> None:
    """1/2 without shared heads, 2 for Llama-3-8B, 5/2 for Qwen2.5-14B: there the hidden form is not offered."""
    names = ("opt-13b", "llama-2-7b", "llama-3-8b", "qwen2.5-14b")
    assert [MODELS[name].cache_ratio for name in names] == [Fraction(1, 2), Fraction(1, 2), 2, Fraction(5, 2)]
    assert [MODELS[name].cache().offers_hidden for name in names] == [True, True, False, False]


@pytest.mark.parametrize(
    ("name", "num_gpus", "blocks"), [("opt-13b", 1, 910), ("opt-30b", 2, 695), ("opt-66b", 4, 506)]
)
def test_blocks_on_a100(name: str, num_gpus: int, blocks: int) -> None:
    """Blocks of 16 tokens that OPT leaves on A100-40GB, from first principles."""
    assert num_blocks(MODELS[name], GPUS["a100-40gb"], num_gpus) == blocks


def test_a_model_that_does_not_fit() -> None:
    """The message says by how much, and on how many GPUs it fits: there it does, and not on fewer."""
    with pytest.raises(InputError, match=r"opt-66b does not fit on 1 x a100-40gb, by 93\.8 GB.*tp 4 is accepted"):
        num_blocks(MODELS["opt-66b"], GPUS["a100-40gb"])
    with pytest.raises(InputError, match="does not fit"):
        num_blocks(MODELS["opt-66b"], GPUS["a100-40gb"], 3)
    assert num_blocks(MODELS["opt-66b"], GPUS["a100-40gb"], 4) > 0


@pytest.mark.parametrize("num_gpus", [0, -1, 3])
def test_heads_are_shared_out_evenly(num_gpus: int) -> None:
    """40 heads do not go onto 3 GPUs."""
    with pytest.raises(InputError, match="tp"):
        num_blocks(MODELS["opt-13b"], GPUS["a100-40gb"], num_gpus)


def test_unknown_names_list_what_there_is() -> None:
    """Every model and every GPU is in the message."""
    with pytest.raises(InputError, match=", ".join(MODELS)):
        find_model("gpt-5")
    with pytest.raises(InputError, match=", ".join(GPUS)):
        find_gpu("abacus")


def test_a_gpu_from_a_file(tmp_path: Path) -> None:
    """A TOML file has the fields; its name is the GPU's if none is given."""
    path = tmp_path / "mine.toml"
    path.write_text(f"{TOML}link_bytes_per_s = 1e10\n")
    gpu = find_gpu(str(path))
    assert (gpu.name, gpu.flops_per_s, gpu.link_bytes_per_s) == ("mine", 1e14, 1e10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TOML, "link_bytes_per_s"),
        (f"{TOML}link_bytes_per_s = 1e10\nlegs = 4\n", "legs"),
        (f"{TOML}link_bytes_per_s = -1\n", "link_bytes_per_s: -1"),
        (f'{TOML}link_bytes_per_s = "fast"\n', "link_bytes_per_s: 'fast'"),
        ("][", "not TOML"),
    ],
)
def test_a_bad_gpu_file(tmp_path: Path, text: str, message: str) -> None:
    """What is missing, unknown or out of range is named."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        find_gpu(str(path))


def test_a_bad_shape() -> None:
    """A size below 1 is named."""
    with pytest.raises(InputError, match="num_layers: 0"):
        ModelShape("none", 0, 1, 1, 1, 1, 1, 1, 1)
