"""Any legal plan gives the tokens of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.aptserve import AptServe
from aptsched.policies.aptserve_printed import AptServePrinted
from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.plan import Policy
from aptsched.scheduling.record import Outcome
from checkpoints import as_transformers
from engine.models import architecture
from engine.models.checkpoint import load_model as read
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.hidden_attention import HIDDEN_ATTENTION
from engine.models.model import Model, load_model
from engine.models.random_weights import random_weights
from engine.session.engine import Engine
from engine.state.sampling_params import SamplingParams
from random_policy import RandomPolicy

SIZES: dict[str, Any] = {"vocab_size": 211, "num_layers": 2, "intermediate_size": 80, "max_positions": 96}
LLAMA: dict[str, Any] = {**SIZES, "architecture": architecture.LLAMA, "activation": "silu", "norm_eps": 1e-5}
MODELS = {
    "opt, ratio 1/2": ModelConfig(
        **SIZES,
        architecture=architecture.OPT,
        activation="relu",
        norm_eps=1e-5,
        attention_bias=True,
        mlp_bias=True,
        tied=True,
        hidden_size=48,
        num_heads=4,
        num_kv_heads=4,
        head_dim=12,
    ),
    "llama MHA, ratio 1/3": ModelConfig(**LLAMA, hidden_size=32, num_heads=4, num_kv_heads=4, head_dim=12),
    "llama MHA, ratio 1/2": ModelConfig(**LLAMA, hidden_size=48, num_heads=4, num_kv_heads=4, head_dim=12),
    "llama GQA, ratio 3/4": ModelConfig(**LLAMA, hidden_size=48, num_heads=4, num_kv_heads=2, head_dim=16),
    "llama GQA, ratio 2": ModelConfig(**LLAMA, hidden_size=64, num_heads=4, num_kv_heads=1, head_dim=16),
}


@pytest.fixture(scope="module")
def pairs() -> dict[str, tuple[Model, Any]]:
    """Our models, and the same tensors in transformers."""
    made = {}
    for name, config in MODELS.items():
        weights = random_weights(config, torch.Generator().manual_seed(5))
        made[name] = (Model(name, Decoder(config, weights)), as_transformers(config, weights))
    return made


def compare(engine: Engine, peer: Any, prompts: list[list[int]], max_tokens: list[int]) -> tuple[int, int]:
    """Holds the engine's tokens against `generate`; how many there are, and how many were too close to call."""
    params = [SamplingParams(max_tokens=count, ignore_eos=True) for count in max_tokens]
    completions = engine.generate(prompts, params)
    engine.pool.check_integrity()
    assert engine.pool.free_blocks == engine.pool.num_blocks
    assert engine.pool.host.free_blocks == engine.pool.num_host_blocks
    close = 0
    for prompt, found, count in zip(prompts, completions, max_tokens, strict=True):
        assert found.record.outcome is Outcome.FINISHED, found.record
        assert len(found.token_ids) == count
        if found.token_ids != generated(peer, prompt, count):
            close += too_close(peer, prompt, found.token_ids)
    return sum(max_tokens), close


def generated(peer: Any, prompt: list[int], count: int) -> list[int]:
    """What transformers generates."""
    ids = torch.tensor([prompt])
    with torch.inference_mode():
        made = peer.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False, eos_token_id=None
        )
    token_ids: list[int] = made[0, len(prompt) :].tolist()
    return token_ids


def too_close(peer: Any, prompt: list[int], tokens: list[int]) -> int:
    """How many of the tokens are not the largest logit of those before them, each within twice the tolerance of it."""
    with torch.inference_mode():
        logits = peer(torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
    best = logits.max(dim=-1).values
    ours = logits.gather(1, torch.tensor(tokens)[:, None])[:, 0]
    tolerance = 1e-4 + 1e-5 * logits.abs().max(dim=-1).values
    assert (best - ours < 2 * tolerance).all()
    return int((ours < best).sum())


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=6)
@given(seed=st.integers(0, 2**32 - 1), data=st.data())
def test_random_plans_give_the_tokens_of_transformers(
    pairs: dict[str, tuple[Model, Any]], name: str, seed: int, data: st.DataObject
) -> None:
    """Forms, either way to read them, chunks, preemptions, swaps, promotions, orders and idling change no token."""
    rng = np.random.default_rng(seed)
    model, peer = pairs[name]
    num_blocks = data.draw(st.integers(7, 14), "num_blocks")
    engine = Engine(
        model,
        RandomPolicy(rng),
        num_blocks=num_blocks,
        num_host_blocks=10,
        max_tokens=64,
        max_seqs=6,
        hidden_attention=data.draw(st.sampled_from(HIDDEN_ATTENTION)),
    )
    sizes = rng.integers(1, 50, 6).tolist()
    prompts = [rng.integers(0, SIZES["vocab_size"], size).tolist() for size in sizes]
    tokens, close = compare(engine, peer, prompts, rng.integers(1, 24, 6).tolist())
    assert close <= max(1, tokens / 1000)


@pytest.mark.parametrize("name", [name for name in MODELS if name.endswith("ratio 1/2")])
@settings(max_examples=6)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_plans_with_keys_give_the_tokens_of_transformers(
    pairs: dict[str, tuple[Model, Any]], name: str, seed: int
) -> None:
    """The same with the keys form among the others, and with conversions to it and back, as often as one likes."""
    rng = np.random.default_rng(seed)
    model, peer = pairs[name]
    policy = RandomPolicy(rng, wanted_forms=(CacheForm.KEYS,))
    engine = Engine(model, policy, num_blocks=12, num_host_blocks=10, max_tokens=64, max_seqs=6)
    prompts = [rng.integers(0, SIZES["vocab_size"], size).tolist() for size in rng.integers(1, 50, 6).tolist()]
    tokens, close = compare(engine, peer, prompts, rng.integers(1, 24, 6).tolist())
    assert close <= max(1, tokens / 1000)


@pytest.mark.parametrize("hidden_attention", HIDDEN_ATTENTION)
@pytest.mark.parametrize("policy", [FCFS(), AptServe(), AptServe(forms="hidden"), AptServePrinted()])
@pytest.mark.parametrize("name", MODELS)
def test_policies_give_the_tokens_of_transformers(
    pairs: dict[str, tuple[Model, Any]], name: str, policy: Policy, hidden_attention: str
) -> None:
    """A pool that is short of memory makes them preempt."""
    rng = np.random.default_rng(3)
    model, peer = pairs[name]
    engine = Engine(model, policy, num_blocks=12, max_tokens=64, max_seqs=8, hidden_attention=hidden_attention)
    prompts = [rng.integers(0, SIZES["vocab_size"], size).tolist() for size in rng.integers(1, 60, 12).tolist()]
    tokens, close = compare(engine, peer, prompts, [30] * 12)
    assert close <= tokens / 1000


@pytest.mark.slow
@pytest.mark.parametrize(("twin", "hidden_attention"), [(False, "absorbed"), (True, "absorbed"), (True, "rebuilt")])
def test_smollm2_gives_the_tokens_of_transformers(twin: bool, hidden_attention: str, record_property: Any) -> None:
    """SmolLM2 as published, whose hidden form is not offered, and its MHA twin, with random plans."""
    loaded = read("smollm2", expand_kv_heads=twin)
    peer = as_transformers(loaded.config, loaded.weights)
    model = load_model("smollm2", expand_kv_heads=twin)
    assert model.tokenizer is not None
    texts = ["The capital of France is", "def fibonacci(n):", "Once upon a time, in a small village,", "1, 2, 3,"]
    prompts = [model.tokenizer.encode(text) for text in texts]
    policy = RandomPolicy(np.random.default_rng(1))
    engine = Engine(model, policy, num_blocks=12, num_host_blocks=12, max_seqs=4, hidden_attention=hidden_attention)
    tokens, close = compare(engine, peer, prompts, [32] * 4)
    record_property("measured", f"SmolLM2{' (MHA twin)' if twin else ''}: {close} of {tokens} tokens too close to call")
    assert close <= tokens / 1000
