"""Any legal plan gives the same tokens by kernels as by the plain path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("triton")

from aptsched.scheduling.forms import CacheForm
from aptsched.support.errors import InputError
from devices import KERNEL_DEVICE
from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.hidden_attention import HIDDEN_ATTENTION
from engine.models.model import Model
from engine.models.random_weights import random_weights
from engine.runner.device.launches import PlainLaunches
from engine.runner.kernels.table import can_run
from engine.runner.torch_executor import TorchExecutor
from engine.session.engine import Engine
from engine.state.batch import Batch
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams
from mixes import LLAMA, OPT
from random_policy import RandomPolicy

pytestmark = pytest.mark.skipif(not can_run(KERNEL_DEVICE, torch.float32), reason="TRITON_INTERPRET=1 is not set")
SIZES: dict[str, Any] = {"vocab_size": 97, "num_layers": 1, "intermediate_size": 64, "max_positions": 96}
MODELS = {
    "opt": ModelConfig(**SIZES, **OPT, norm_eps=1e-5, hidden_size=48, num_heads=4, num_kv_heads=4, head_dim=12),
    "llama": ModelConfig(**SIZES, **LLAMA, norm_eps=1e-5, hidden_size=48, num_heads=4, num_kv_heads=4, head_dim=12),
    "llama, shared heads": ModelConfig(
        **SIZES, **LLAMA, norm_eps=1e-5, hidden_size=48, num_heads=4, num_kv_heads=2, head_dim=16
    ),
}


def tokens(name: str, seed: int, hidden_attention: str, kernels: bool) -> list[list[int]]:
    """What a random policy's plans generate."""
    rng = np.random.default_rng(seed)
    weights = random_weights(MODELS[name], torch.Generator().manual_seed(1), device=KERNEL_DEVICE)
    decoder = Decoder(MODELS[name], weights)
    engine = Engine(
        Model(name, decoder),
        RandomPolicy(rng, wanted_forms=(CacheForm.KEYS,) if name == "opt" else ()),
        num_blocks=12,
        num_host_blocks=8,
        max_tokens=48,
        max_seqs=3,
        hidden_attention=hidden_attention,
        kernels=kernels,
    )
    assert engine.executor.kernels.keys() == ({CacheForm.KV, CacheForm.HIDDEN, CacheForm.INT8} if kernels else set())
    prompts = [rng.integers(0, 97, size).tolist() for size in rng.integers(1, 30, 3).tolist()]
    params = SamplingParams(max_tokens=4, ignore_eos=True)
    found = [list(completion.token_ids) for completion in engine.generate(prompts, params)]
    engine.pool.check_integrity()
    return found


@pytest.mark.parametrize("hidden_attention", HIDDEN_ATTENTION)
@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=1)
@given(st.integers(0, 2**32 - 1))
def test_any_legal_plan_gives_the_tokens_of_the_plain_path(name: str, hidden_attention: str, seed: int) -> None:
    """Forms, chunks, preemptions, swaps, conversions and orders, the keys form without kernels among them."""
    assert tokens(name, seed, hidden_attention, True) == tokens(name, seed, hidden_attention, False)


class Again(PlainLaunches):
    """Records by keeping the call: what it reads has to lie where it lay."""

    records = True


@pytest.mark.parametrize("name", MODELS)
def test_decodes_that_are_padded_and_replayed_have_the_same_logits(name: str) -> None:
    """In all forms at once, beside the same kernels one by one; the third iteration is a replay of the first."""
    decoder = Decoder(
        MODELS[name], random_weights(MODELS[name], torch.Generator().manual_seed(1), device=KERNEL_DEVICE)
    )
    launches = Again() if KERNEL_DEVICE.type == "cpu" else None
    recording, plain = (TorchExecutor(decoder, 60, kernels=True, launches=each) for each in (launches, PlainLaunches()))
    rng, forms = np.random.default_rng(0), [CacheForm.KV, CacheForm.INT8]
    forms += [CacheForm.HIDDEN] if MODELS[name].cache_ratio < 1 else []
    for counts in ((1, 1, 3), (2, 1, 4), (1, 1, 3)):
        form = np.repeat(np.array(forms, np.int64), counts[: len(forms)])
        size = len(form)
        requests = [Request(i, 0.0, 90, prompt_token_ids=rng.integers(0, 97, 90)) for i in range(size)]
        table = rng.permutation(60)[: 5 * size].reshape(size, 5)
        ones = np.ones(size, np.int64)
        for start, fed in ((0 * ones, 3 * ones), (3 * ones, ones)):
            batch = Batch(requests, start, fed, form, table, ones == 1)
            (rows, found, _), (others, expected, _) = recording.sampled(batch), plain.sampled(batch)
            assert torch.allclose(found[rows.argsort()], expected[others.argsort()], atol=1e-4)
    assert len(recording.decodes._replays) == 2


def test_kernels_in_64_bits_are_refused() -> None:
    """By one message that says where they run."""
    weights = random_weights(MODELS["opt"], torch.Generator().manual_seed(1), torch.float64)
    with pytest.raises(InputError, match=r"^kernels: True is not accepted on cpu in torch.float64; "):
        TorchExecutor(Decoder(MODELS["opt"], weights), 4, kernels=True)
    assert MODELS["opt"].architecture is architecture.OPT
