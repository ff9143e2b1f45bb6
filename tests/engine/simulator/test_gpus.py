"""GPUs, and the blocks that models leave on them, against published figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from aptsched import InputError
from engine.models.known_models import MODELS
from engine.simulator.gpu_memory import num_blocks
from engine.simulator.gpus import GPUS, find_gpu

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
