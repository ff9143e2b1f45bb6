"""An iteration on a GPU, without one: on fake tensors, which refuse what would mix devices or wait for numbers.

torch's `FakeTensorMode` runs the same code with tensors that have a device, a dtype and a shape, but no content. Their
device here is "meta", as no GPU need be there. Tensors of two devices in one operation raise, and so does whatever
would read a tensor's content, such as a shape that depends on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from aptsched.scheduling.forms import CacheForm
from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.random_weights import random_weights
from engine.runner.device.upload import Upload
from engine.runner.sampler import next_tokens
from engine.runner.torch_executor import TorchExecutor
from engine.state.batch import Batch, Conversion
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams
from tape_launches import TapeLaunches

SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "num_layers": 2,
    "intermediate_size": 32,
    "max_positions": 256,
    "norm_eps": 1e-5,
    "hidden_size": 48,
    "num_heads": 4,
    "num_kv_heads": 4,
    "head_dim": 12,
}
MODELS = {
    "opt": ModelConfig(**SIZES, architecture=architecture.OPT, activation="relu", attention_bias=True, mlp_bias=True),
    "llama": ModelConfig(**SIZES, architecture=architecture.LLAMA, activation="silu"),
}
FORMS = [CacheForm.KV, CacheForm.HIDDEN, CacheForm.INT8]


class Copies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts what goes from one device to another, by the two devices."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[str, str]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation; note whether its result, or what it writes, is on another device than what it reads."""
        result = func(*args, **(kwargs or {}))
        tensors = [each for each in args if isinstance(each, torch.Tensor) and each.dim()]
        target = args[0] if func is torch.ops.aten.copy_.default else result
        if tensors and isinstance(target, torch.Tensor):
            source = tensors[-1]
            if source.device.type != target.device.type:
                self.found.append((source.device.type, target.device.type))
        return result


@contextmanager
def on_fake_gpu(name: str) -> Iterator[TorchExecutor]:
    """An executor on a device that is not there."""
    with FakeTensorMode():
        weights = random_weights(MODELS[name], torch.Generator().manual_seed(0), device="meta")
        yield TorchExecutor(Decoder(MODELS[name], weights), 400, kernels=False)


def batch(size: int, params: SamplingParams, seed: int = 0) -> Batch:
    """Prefills, chunks and decodes in all forms, and a conversion."""
    rng = np.random.default_rng(seed)
    start = rng.choice([0, 7, 33], size)
    count = np.where(rng.random(size) < 0.5, 1, rng.integers(1, 40, size))
    form = rng.choice(np.array(FORMS, np.int64), size)
    requests = [
        Request(i, 0.0, 100, params if i % 2 else SamplingParams(), prompt_token_ids=np.zeros(100, np.int64))
        for i in range(size)
    ]
    table = np.arange(6 * size).reshape(size, 6)
    converted = Conversion(requests[0], 20, CacheForm.HIDDEN, CacheForm.KV, np.arange(390, 392), np.arange(390, 393))
    return Batch(requests, start, count, form, table, np.ones(size, np.bool_), [converted])


@pytest.mark.parametrize(
    "params",
    [SamplingParams(), SamplingParams(temperature=0.7, seed=1), SamplingParams(temperature=1.0, top_p=0.9, top_k=50)],
)
@pytest.mark.parametrize("name", MODELS)
def test_an_iteration_waits_for_nothing_before_its_tokens_are_read(name: str, params: SamplingParams) -> None:
    """Greedy and drawn, with a conversion: all of it runs without the content of a single tensor on the device."""
    with on_fake_gpu(name) as executor:
        entries, _, tokens = executor.sampled(batch(9, params))
        assert tokens.device.type == "meta" and tokens.shape == (9,)
        assert sorted(entries.tolist()) == list(range(9))


@pytest.mark.parametrize("size", [1, 4, 60])
def test_one_copy_goes_to_the_device_whatever_the_batch(size: int) -> None:
    """All indices, tokens and parameters of sampling lie in one buffer; one tensor of tokens comes back."""
    params = SamplingParams(temperature=0.7, seed=1)
    with on_fake_gpu("opt") as executor:
        executor.sampled(batch(size, params))  # the buffer is as large as it has to be from the next one on
        with Copies() as copies:
            _, _, tokens = executor.sampled(batch(size, params))
            tokens.cpu()
        assert copies.found == [("cpu", "meta"), ("meta", "cpu")]


def test_mixed_devices_and_waiting_are_refused_there() -> None:
    """So that the tests above can fail: by an index on the host, and by a number that is read."""
    with on_fake_gpu("opt") as executor:
        logits = torch.zeros(2, 300, device="meta")
        with pytest.raises(RuntimeError, match=r"devices|device"):
            logits.index_select(0, torch.zeros(1, dtype=torch.int64)) + torch.zeros(1, 3)
        with pytest.raises(Exception, match=r"_local_scalar_dense|data-dependent|DataDependent"):
            bool(next_tokens(logits, None).sum() > 0)
        assert executor.storage.blocks.device.type == "meta"


def test_arrays_come_to_the_device_as_they_are() -> None:
    """Of any dtype and shape, also empty ones, and more than a buffer holds; on a CPU, where content can be read."""
    rng, upload = np.random.default_rng(0), Upload(torch.device("cpu"), TapeLaunches())
    arrays: list[np.ndarray] = [
        rng.integers(0, 99, (3, 5)),
        rng.random(7),
        rng.random((2, 2)) < 0.5,
        np.zeros((0, 4), np.int64),
    ]
    arrays += [rng.random(40_000), rng.random((1, 3)).astype(np.float32)]
    for _ in range(2):
        found = [upload.put(array) for array in arrays]
        upload.send()
        for array, tensor in zip(arrays, found, strict=True):
            assert tensor.numpy().dtype == array.dtype and np.array_equal(tensor.numpy(), array)
