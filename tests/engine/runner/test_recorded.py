"""Decodes that are recorded once and replayed give the tokens that they would give one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan import Policy
from engine.loop.limits import Limits
from engine.loop.loop import Loop
from engine.loop.worker import Worker
from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.random_weights import random_weights
from engine.runner.device.recorded import MOST, padded, padded_width
from engine.runner.torch_executor import TorchExecutor
from engine.state.batch import Batch
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams
from random_policy import RandomPolicy
from static_kernels import with_static_kernels
from tape_launches import TapeLaunches

SIZES: dict[str, Any] = {"vocab_size": 97, "num_layers": 2, "intermediate_size": 64, "max_positions": 96}
HEADS: dict[str, Any] = {"norm_eps": 1e-5, "hidden_size": 48, "num_heads": 4, "num_kv_heads": 4, "head_dim": 12}
OPT = ModelConfig(
    **SIZES, **HEADS, architecture=architecture.OPT, activation="relu", attention_bias=True, mlp_bias=True
)
LLAMA = ModelConfig(**SIZES, **HEADS, architecture=architecture.LLAMA, activation="silu")
DECODERS = {
    name: Decoder(config, random_weights(config, torch.Generator().manual_seed(1)))
    for name, config in (("opt", OPT), ("llama", LLAMA))
}
NUM_BLOCKS, NUM_HOST_BLOCKS = 20, 8


def recording(name: str, num_blocks: int = NUM_BLOCKS) -> tuple[TorchExecutor, TapeLaunches]:
    """An executor that records decodes in KV form and of hidden states."""
    launches = TapeLaunches()
    executor = TorchExecutor(DECODERS[name], num_blocks, NUM_HOST_BLOCKS, launches=launches)
    return with_static_kernels(executor), launches


def tokens(executor: TorchExecutor, policy: Policy, requests: list[Request]) -> list[list[int]]:
    """The outputs of requests that are served."""
    pool = BlockPool(NUM_BLOCKS, executor.decoder.config.cache(), NUM_HOST_BLOCKS)
    worker = Worker(policy, pool, executor, lambda record: None, limits=Limits(64, 6, 96))
    assert Loop(worker).run(requests) == ""
    pool.check_integrity()
    return [request.output_token_ids for request in requests]


def drawn(seed: int, count: int, max_tokens: int) -> list[Request]:
    """Requests with random prompts, every second of which draws its tokens."""
    rng = np.random.default_rng(seed)
    prompts = [rng.integers(0, 97, size) for size in rng.integers(1, 30, count).tolist()]
    params = [
        SamplingParams(temperature=i % 2, seed=i, top_k=20 * (i % 4), max_tokens=max_tokens) for i in range(count)
    ]
    return [
        Request(i, 0.0, len(ids), params=own, prompt_token_ids=ids)
        for i, (ids, own) in enumerate(zip(prompts, params, strict=True))
    ]


@pytest.fixture(scope="module")
def recorders() -> dict[str, TorchExecutor]:
    """One for each model, so that later plans are replays of what earlier ones recorded."""
    return {name: recording(name)[0] for name in DECODERS}


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=6)
@given(st.integers(0, 2**32 - 1))
def test_any_legal_plan_gives_the_same_tokens_recorded(
    recorders: dict[str, TorchExecutor], name: str, seed: int
) -> None:
    """Forms, chunks, preemptions, swaps, conversions; greedy and drawn, of any number of requests."""
    plain = TorchExecutor(DECODERS[name], NUM_BLOCKS, NUM_HOST_BLOCKS)
    executor = recorders[name]
    found = [tokens(each, RandomPolicy(np.random.default_rng(seed)), drawn(seed, 5, 12)) for each in (executor, plain)]
    assert found[0] == found[1]


def test_decodes_are_recorded_once_and_replayed() -> None:
    """Five requests that decode 30 tokens beside each other: one padded size, one recording, and it is all replays."""
    executor, launches = recording("opt")
    requests = drawn(3, 5, 30)
    expected = tokens(TorchExecutor(DECODERS["opt"], NUM_BLOCKS), FCFS(), drawn(3, 5, 30))
    assert tokens(executor, FCFS(), requests) == expected
    assert launches.num_recorded == 1
    assert launches.num_replayed == 30 - 1 - 1  # all but the prefill and the first decode, which is recorded


def test_one_recording_serves_all_sizes_that_are_padded_to_it() -> None:
    """From five to eight decodes, whatever they have cached; what is read of them is what is put for them."""
    executor, launches = recording("opt", 80)
    rng = np.random.default_rng(0)
    for size in (6, 5, 8, 7, 5, 8):
        made = decodes(executor, size, rng)
        entries, logits, _ = executor.sampled(made)
        expected = with_static_kernels(TorchExecutor(DECODERS["opt"], 80))
        expected.storage.blocks.copy_(executor.storage.blocks[:, :80])
        rows, by_plain, _ = expected.sampled(made)
        assert entries.tolist() == rows.tolist()
        assert torch.allclose(logits, by_plain, atol=1e-5)
    assert (launches.num_recorded, launches.num_replayed) == (1, 5)


def decodes(executor: TorchExecutor, size: int, rng: np.random.Generator) -> Batch:
    """Decodes of requests whose blocks hold random numbers, in KV form."""
    start = rng.integers(1, 60, size)
    table = rng.permutation(80)[: 4 * size].reshape(size, 4)
    executor.storage.blocks.normal_(generator=torch.Generator().manual_seed(int(rng.integers(99))))
    requests = [Request(i, 0.0, 90, prompt_token_ids=rng.integers(0, 97, 90)) for i in range(size)]
    ones = np.ones(size, np.int64)
    return Batch(requests, start, ones, np.full(size, int(CacheForm.KV)), table, ones == 1)


def test_what_is_not_decodes_alone_is_not_recorded() -> None:
    """A chunk or a prompt beside them; and nothing is, once there are as many recordings as may be."""
    executor, launches = recording("opt", 80)
    made, rng = [], np.random.default_rng(1)
    for _ in range(3):
        batch = decodes(executor, 3, rng)
        batch.num_tokens[1] = 2
        made.append(batch)
    for batch in made:
        executor.sampled(batch)
    assert launches.num_recorded == 0
    executor.decodes._memory.update({(((form, 1),), 1): torch.empty(0) for form in range(MOST)})
    for _ in range(3):
        executor.sampled(decodes(executor, 3, rng))
    assert launches.num_recorded == 0


def test_arrays_that_are_more_than_was_thought_are_recorded_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their memory is made anew, as large as they are."""
    executor, launches = recording("opt", 80)
    allocated = executor.decodes._memory_for
    monkeypatch.setattr(executor.decodes, "_memory_for", lambda key, num_bytes: allocated(key, num_bytes)[:-5000])
    rng = np.random.default_rng(2)
    executor.sampled(decodes(executor, 3, rng))
    assert (launches.num_recorded, launches.num_replayed) == (0, 0)
    monkeypatch.undo()
    executor.sampled(decodes(executor, 3, rng))
    assert (launches.num_recorded, launches.num_replayed) == (0, 0)
    executor.sampled(decodes(executor, 3, rng))
    assert (launches.num_recorded, launches.num_replayed) == (1, 0)
    executor.sampled(decodes(executor, 3, rng))
    assert (launches.num_recorded, launches.num_replayed) == (1, 1)


def test_sizes_are_padded_by_at_most_seven_decodes_and_twice_the_width() -> None:
    """So that few recordings serve all."""
    assert [padded(count) for count in (1, 2, 3, 5, 8, 9, 16, 17)] == [1, 2, 4, 8, 8, 16, 16, 24]
    assert [padded_width(width) for width in (1, 16, 17, 100)] == [16, 16, 32, 128]
