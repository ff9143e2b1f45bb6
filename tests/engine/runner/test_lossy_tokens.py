"""What a request's tokens are depends on the forms of its cache alone, whoever else is served and however it is cut."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from aptsched.scheduling.forms import CacheForm
from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.model import Model
from engine.models.random_weights import random_weights
from engine.models.weights import Weights
from engine.runner.torch_executor import TorchExecutor
from engine.session.engine import Engine
from engine.state.batch import Batch, Step
from engine.state.sampling_params import SamplingParams
from plain_forms import PlainForms
from random_policy import RandomPolicy

NUM_PROMPTS = 6
SIZES: dict[str, Any] = {
    "vocab_size": 211,
    "num_layers": 2,
    "intermediate_size": 80,
    "max_positions": 96,
    "norm_eps": 1e-5,
}
OPT: dict[str, Any] = {"architecture": architecture.OPT, "activation": "relu", "attention_bias": True, "mlp_bias": True}
LLAMA: dict[str, Any] = {"architecture": architecture.LLAMA, "activation": "silu"}
MODELS = {
    "opt": ModelConfig(**SIZES, **OPT, hidden_size=48, num_heads=4, num_kv_heads=4, head_dim=12),
    "llama MHA": ModelConfig(**SIZES, **LLAMA, hidden_size=32, num_heads=4, num_kv_heads=4, head_dim=12),
    "llama GQA": ModelConfig(**SIZES, **LLAMA, hidden_size=48, num_heads=4, num_kv_heads=2, head_dim=16),
}


@dataclass(frozen=True)
class Fed:
    """Tokens that were fed, and whether the next one was sampled after them."""

    start: int
    stop: int
    form: CacheForm
    samples: bool


@dataclass
class History:
    """What was done to the cache of each request, in order: tokens fed, or the form that it was converted to."""

    of: dict[int, list[Fed | CacheForm]] = field(default_factory=lambda: defaultdict(list))

    def add(self, batch: Batch) -> None:
        for made in batch.conversions:
            self.of[made.request.request_id].append(CacheForm(made.target))
        columns = (batch.start, batch.start + batch.num_tokens, batch.form, batch.samples)
        for request, start, stop, form, samples in zip(batch.requests, *columns, strict=True):
            self.of[request.request_id].append(Fed(int(start), int(stop), CacheForm(form), bool(samples)))

    def tokens(self, request_id: int, config: ModelConfig, weights: Weights, token_ids: list[int]) -> list[int]:
        """The reference's likeliest token wherever one was sampled; it begins anew where the request did."""
        tokens, plain = [], PlainForms(config, weights, token_ids)
        for event in self.of[request_id]:
            if isinstance(event, CacheForm):
                plain.converted(event)
                continue
            if event.start == 0:
                plain = PlainForms(config, weights, token_ids)
            logits = plain.fed(event.start, event.stop, event.form)
            tokens += [int(logits.argmax())] if event.samples else []
        return tokens


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", MODELS)
def test_random_plans_give_the_tokens_of_their_forms(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a reference that keeps all K and V of one request and rounds or converts them when the engine did.

    In float64, where no sum differs by enough to be rounded to another of the 255 values.
    """
    config, rng, history = MODELS[name], np.random.default_rng(seed), History()
    weights = random_weights(config, torch.Generator().manual_seed(seed), torch.float64)
    policy = RandomPolicy(rng, wanted_forms=(CacheForm.INT8,))
    model = Model(name, Decoder(config, weights))
    engine = Engine(model, policy, num_blocks=8, num_host_blocks=8, max_tokens=64, max_seqs=NUM_PROMPTS)
    run = TorchExecutor.run

    def recorded(executor: TorchExecutor, batch: Batch) -> Step:
        history.add(batch)
        return run(executor, batch)

    monkeypatch.setattr(TorchExecutor, "run", recorded)
    prompts = [rng.integers(0, config.vocab_size, size).tolist() for size in rng.integers(1, 50, NUM_PROMPTS).tolist()]
    params = [SamplingParams(max_tokens=count, ignore_eos=True) for count in rng.integers(8, 24, NUM_PROMPTS).tolist()]
    for prompt, found in zip(prompts, engine.generate(prompts, params), strict=True):
        expected = history.tokens(found.record.request_id, config, weights, prompt + found.token_ids)
        assert found.token_ids == expected
    events = [event for of in history.of.values() for event in of]
    assert CacheForm.INT8 in events, "converted from KV"
    assert any(isinstance(event, Fed) and event.form == CacheForm.INT8 and event.start == 0 for event in events)
    engine.pool.check_integrity()
