"""What kernels are given, without a GPU and without running them: one launch a layer and form, and all on the device.

torch's fake tensors have a device and no content: whatever would mix devices or wait for a number raises.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

pytest.importorskip("triton")

from aptsched.scheduling.forms import CacheForm
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.random_weights import random_weights
from engine.runner.kernels import hidden as hidden_launches
from engine.runner.kernels import kv as kv_launches
from engine.runner.kernels.hidden import HiddenKernels
from engine.runner.kernels.kv import Int8Kernels, KVKernels
from engine.runner.torch_executor import TorchExecutor
from engine.state.batch import Batch, Conversion
from engine.state.request import Request
from mixes import LLAMA, OPT

SIZES: dict[str, Any] = {"vocab_size": 64, "num_layers": 3, "intermediate_size": 32, "max_positions": 160}
HEADS: dict[str, Any] = {"norm_eps": 1e-5, "hidden_size": 48, "num_heads": 4, "num_kv_heads": 4, "head_dim": 12}
FORMS = (CacheForm.KV, CacheForm.INT8, CacheForm.HIDDEN)
PROGRAMS = {
    kv_launches: ("attend_kv", "join", "write_rows", "write_in_8_bits"),
    hidden_launches: ("score_hidden", "sum_hidden", "score_rebuilt", "attend_rebuilt"),
}


class Noted:
    """A kernel that is not launched: its name, its grid, and the devices of its arguments are noted."""

    def __init__(self, name: str, launched: list[tuple[str, tuple[int, ...]]]) -> None:
        self.name, self.launched = name, launched

    def __getitem__(self, grid: Any) -> Any:
        """The launch."""

        def launch(*args: Any, **constants: int) -> None:
            assert {each.device.type for each in args if isinstance(each, torch.Tensor)} == {"meta"}
            assert args[0].is_contiguous()  # queries, scores or rows
            self.launched.append((self.name, grid if isinstance(grid, tuple) else (grid,)))

        return launch


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[int, ...]]]:
    """What is launched, in order."""
    found: list[tuple[str, tuple[int, ...]]] = []
    for module, names in PROGRAMS.items():
        for name in names:
            monkeypatch.setattr(module, name, Noted(name, found))
    return found


def executor(kind: dict[str, Any], absorb_up_to: int) -> TorchExecutor:
    """One on a device that is not there, with kernels for all three forms."""
    config = ModelConfig(**SIZES, **kind, **HEADS)
    decoder = Decoder(config, random_weights(config, torch.Generator().manual_seed(0), device="meta"))
    made = TorchExecutor(decoder, 200, absorb_up_to=absorb_up_to)
    kv, int8, hidden = (made.forms[form] for form in FORMS)
    made.kernels[CacheForm.KV] = KVKernels(config, kv)  # type: ignore[arg-type]
    made.kernels[CacheForm.INT8] = Int8Kernels(config, int8, torch.float32)  # type: ignore[arg-type]
    made.kernels[CacheForm.HIDDEN] = HiddenKernels(decoder, hidden)  # type: ignore[arg-type]
    return made


def batch(start: list[int], fed: list[int], each: int) -> Batch:
    """So many requests in each form, which have cached and are fed so many tokens; one is converted before."""
    form = np.repeat(np.array(FORMS, np.int64), each)
    size = len(form)
    requests = [Request(i, 0.0, 90, prompt_token_ids=np.zeros(90, np.int64)) for i in range(size)]
    cached, counts = np.resize(np.array(start), size), np.resize(np.array(fed), size)
    made = Conversion(requests[-1], 20, CacheForm.HIDDEN, CacheForm.KV, np.arange(190, 192), np.arange(192, 195))
    return Batch(requests, cached, counts, form, np.arange(6 * size).reshape(size, 6), counts > 0, [made])


@pytest.mark.parametrize("each", [1, 4, 9])
@pytest.mark.parametrize(
    ("kind", "absorb_up_to", "hidden"),
    [
        (OPT, 100, {"score_hidden", "sum_hidden"}),
        (LLAMA, 100, {"score_rebuilt", "sum_hidden"}),
        (LLAMA, 0, {"attend_rebuilt"}),
    ],
)
def test_each_form_is_written_and_read_by_one_launch_a_layer(
    kind: dict[str, Any], absorb_up_to: int, hidden: set[str], each: int, launched: list[tuple[str, tuple[int, ...]]]
) -> None:
    """Decodes and chunks together, whatever the batch; states that are absorbed are scored and summed by two."""
    with FakeTensorMode():
        made = executor(kind, absorb_up_to)
        *_, tokens = made.sampled(batch([7, 33, 20], [1, 1, 5], each))
        assert tokens.device.type == "meta"
    names = [name for name, _ in launched]
    layers = SIZES["num_layers"]
    assert names.count("attend_kv") == 2 * layers  # KV, and in 8 bits
    assert names.count("write_rows") == (2 + 1) * layers  # KV and hidden states; and K and V of the conversion
    assert names.count("write_in_8_bits") == layers
    assert {name for name in names if name in PROGRAMS[hidden_launches]} == hidden
    assert all(names.count(name) == layers for name in hidden)
