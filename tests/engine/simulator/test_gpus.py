"""GPUs, and the blocks that models leave on them, against published figures."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from aptsched import InputError
from engine.models.known_models import MODELS
from engine.simulator.efficiency import Efficiency
from engine.simulator.gpu_file import find_gpu
from engine.simulator.gpu_memory import num_blocks
from engine.simulator.gpus import GPU, GPUS

TOML = "flops_per_s = 1e14\nbandwidth_bytes_per_s = 1e12\nmemory_bytes = 4.8e10\npcie_bytes_per_s = 3.2e10\n"


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
    """Every GPU is in the message."""
    with pytest.raises(InputError, match=", ".join(GPUS)):
        find_gpu("abacus")


def test_a_gpu_from_a_file(tmp_path: Path) -> None:
    """A TOML file has the fields; its name is the GPU's if none is given, and shares of the peaks have a table."""
    path = tmp_path / "mine.toml"
    path.write_text(f"{TOML}link_bytes_per_s = 1e10\nprice_per_hour = 2\n[efficiency]\ncompute = 0.5\n")
    gpu = find_gpu(str(path))
    assert (gpu.name, gpu.flops_per_s, gpu.link_bytes_per_s, gpu.price_per_hour) == ("mine", 1e14, 1e10, 2)
    assert gpu.efficiency == Efficiency(compute=0.5)


def test_a_gpu_that_differs_from_a_known_one(tmp_path: Path) -> None:
    """With a base, what the file does not say is as there."""
    path = tmp_path / "rented.toml"
    path.write_text('base = "h200"\nprice_per_hour = 3.5\n[efficiency]\nbandwidth = 0.8\n')
    same = {"name": "rented", "price_per_hour": 3.5, "efficiency": Efficiency(bandwidth=0.8)}
    assert find_gpu(str(path)) == dataclasses.replace(GPUS["h200"], **same)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TOML, "link_bytes_per_s: it is missing"),
        (f"{TOML}link_bytes_per_s = 1e10\nlegs = 4\n", "'legs' is not known; base, name, flops_per_s"),
        (f"{TOML}link_bytes_per_s = -1\n", "link_bytes_per_s: -1"),
        (f'{TOML}link_bytes_per_s = "fast"\n', "link_bytes_per_s: 'fast'"),
        ('base = "abacus"\n', "base: 'abacus' is not known; a100-40gb"),
        ("base = 3\n", "base: 3 is not known"),
        ('base = "l4"\nprice_per_hour = -1\n', "price_per_hour: -1 of GPU mine is not accepted"),
        ('base = "l4"\nprice_per_hour = "low"\n', "price_per_hour: 'low'"),
        ('base = "l4"\nfp8_flops_per_s = inf\n', "fp8_flops_per_s: inf"),
        ('base = "l4"\nefficiency = 0.5\n', "efficiency: 0.5 is not accepted; a table is"),
        ('base = "l4"\n[efficiency]\ncompute = 1.5\n', "compute: 1.5 is not accepted; a share above 0"),
        ('base = "l4"\n[efficiency]\ncompute = true\n', "compute: True is not accepted"),
        ('base = "l4"\n[efficiency]\nlegs = 1\n', "'legs' is not known; compute, bandwidth"),
        ('base = "l4"\n[efficiency]\nall_reduce_s = "short"\n', "all_reduce_s: 'short'"),
        ("][", "not TOML"),
    ],
)
def test_a_bad_gpu_file(tmp_path: Path, text: str, message: str) -> None:
    """What is missing, unknown or out of range is named, with the file."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        find_gpu(str(path))
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("gpu", GPUS.values(), ids=lambda gpu: gpu.name)
def test_figures_of_gpus_fit_together(gpu: GPU) -> None:
    """Dense fp8 is twice 16 bits where there is any, within rounding; a link is no slower than PCIe."""
    assert gpu.fp8_flops_per_s == 0 or gpu.fp8_flops_per_s == pytest.approx(2 * gpu.flops_per_s, rel=0.02)
    assert gpu.pcie_bytes_per_s in (32e9, 64e9) and gpu.link_bytes_per_s >= gpu.pcie_bytes_per_s
