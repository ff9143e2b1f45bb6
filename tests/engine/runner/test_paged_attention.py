"""Logits on every path through the cache equal those of full attention without one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from aptsched.scheduling.forms import CacheForm, CacheShape
from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.random_weights import random_weights
from engine.runner.torch_executor import TorchExecutor
from engine.state.batch import NO_COPIES, Batch, Conversion, Copies
from engine.state.request import Request
from plain_model import plain_logits

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here"))]
NUM_BLOCKS, NUM_HOST_BLOCKS, NUM_REQUESTS, LENGTH = 60, 20, 7, 70
SIZES: dict[str, Any] = {
    "vocab_size": 128,
    "num_layers": 3,
    "intermediate_size": 96,
    "max_positions": 128,
    "norm_eps": 1e-5,
}
OPT: dict[str, Any] = {
    "architecture": architecture.OPT,
    "activation": "relu",
    "attention_bias": True,
    "mlp_bias": True,
    "tied": True,
}
LLAMA: dict[str, Any] = {"architecture": architecture.LLAMA, "activation": "silu"}
MODELS = {
    "opt, ratio 1/2": ModelConfig(**SIZES, **OPT, hidden_size=48, num_heads=4, num_kv_heads=4, head_dim=12),
    "llama MHA, ratio 1/3": ModelConfig(**SIZES, **LLAMA, hidden_size=32, num_heads=4, num_kv_heads=4, head_dim=12),
    "llama GQA, ratio 3/4": ModelConfig(**SIZES, **LLAMA, hidden_size=48, num_heads=4, num_kv_heads=2, head_dim=16),
    "llama GQA, ratio 2": ModelConfig(**SIZES, **LLAMA, hidden_size=64, num_heads=4, num_kv_heads=1, head_dim=16),
}


@dataclass
class Cached:
    """A text that is fed piece by piece."""

    request: Request
    expected: torch.Tensor  # [LENGTH, vocab]
    num_cached: int = 0
    form: CacheForm = CacheForm.NONE
    blocks: list[int] = field(default_factory=list)
    on_host: list[int] = field(default_factory=list)


class Feeder:
    """Draws batches that feed known texts, and keeps the block tables."""

    def __init__(self, config: ModelConfig, seed: int, device: str) -> None:
        self.rng = np.random.default_rng(seed)
        weights = random_weights(config, torch.Generator().manual_seed(seed), device=device)
        self.shape = CacheShape(config.cache_ratio)
        self.forms = [CacheForm.KV, CacheForm.HIDDEN] if self.shape.offers_hidden else [CacheForm.KV]
        self.free = self.rng.permutation(NUM_BLOCKS).tolist()
        self.free_host = self.rng.permutation(NUM_HOST_BLOCKS).tolist()
        self.texts = []
        for number in range(NUM_REQUESTS):
            ids = self.rng.integers(config.vocab_size, size=LENGTH)
            request = Request(number, 0.0, LENGTH, prompt_token_ids=ids)
            self.texts.append(Cached(request, plain_logits(config, weights, ids.tolist()).cpu()))
        self.executor = TorchExecutor(Decoder(config, weights), NUM_BLOCKS, num_host_blocks=NUM_HOST_BLOCKS)

    def step(self) -> tuple[int, float]:
        """Runs one random batch; how many rows of logits it had, and their largest error over what is allowed."""
        out = joined([copies for text in self.texts if (copies := self.swap_out(text))])
        back = joined([copies for text in self.texts if (copies := self.swap_in(text))])
        promotions = [promoted for text in self.texts if (promoted := self.promotion(text))]
        entries = [found for i in self.rng.permutation(NUM_REQUESTS) if (found := self.entry(self.texts[i]))]
        if not entries:
            return 0, 0.0
        texts, counts = [text for text, _ in entries], np.array([count for _, count in entries])
        starts = np.array([text.num_cached for text in texts])
        table = np.full((len(texts), max(len(text.blocks) for text in texts)), -1)
        for row, text in zip(table, texts, strict=True):
            row[: len(text.blocks)] = text.blocks
        samples = self.rng.random(len(texts)) < 0.9
        forms = np.array([text.form for text in texts])
        batch = Batch([text.request for text in texts], starts, counts, forms, table, samples, promotions, out, back)
        rows, logits = self.executor.forward(batch)
        errors = [0.0]
        for row, found in zip(rows.tolist(), logits.cpu(), strict=True):
            expected = texts[row].expected[starts[row] + counts[row] - 1]
            errors.append(float((found - expected).abs().max() / (1e-4 + 1e-5 * expected.abs().max())))
        for text, count in entries:
            text.num_cached += count
            if text.num_cached == LENGTH or self.rng.random() < 0.02:
                self.free += text.blocks
                text.blocks, text.num_cached, text.form = [], 0, CacheForm.NONE
        assert set(rows.tolist()) == set(np.flatnonzero(samples).tolist())
        return len(rows), max(errors)

    def swap_out(self, text: Cached) -> Copies | None:
        """One of ten goes to the host, if it fits; its blocks are others' at once."""
        if not text.blocks or len(text.blocks) > len(self.free_host) or self.rng.random() > 0.1:
            return None
        count, blocks = len(text.blocks), text.blocks
        text.on_host, self.free_host = self.free_host[:count], self.free_host[count:]
        text.blocks, self.free = [], blocks + self.free
        return Copies(np.array(blocks), np.array(text.on_host))

    def swap_in(self, text: Cached) -> Copies | None:
        """One of three comes back, if it fits."""
        count, on_host = len(text.on_host), text.on_host
        if not count or count > len(self.free) or self.rng.random() > 0.3:
            return None
        text.blocks, self.free = self.free[:count], self.free[count:]
        text.on_host, self.free_host = [], on_host + self.free_host
        return Copies(np.array(on_host), np.array(text.blocks))

    def promotion(self, text: Cached) -> Conversion | None:
        """One of ten hidden requests turns into K and V, into its own blocks and as many more as that takes."""
        more = self.shape.blocks(text.num_cached, CacheForm.KV) - len(text.blocks)
        if text.form != CacheForm.HIDDEN or text.on_host or more > len(self.free) or self.rng.random() > 0.1:
            return None
        before = text.blocks
        text.blocks = self.rng.permutation([*before, *self.free[:more]]).tolist()
        self.free = self.free[more:]
        text.form = CacheForm.KV
        forms = (CacheForm.HIDDEN, CacheForm.KV)
        return Conversion(text.request, text.num_cached, *forms, np.array(before), np.array(text.blocks))

    def entry(self, text: Cached) -> tuple[Cached, int] | None:
        """A whole prefill, a chunk or a decode, in whatever form; None where nothing is fed."""
        if text.on_host or self.rng.random() < 0.2:
            return None
        form = text.form or self.forms[self.rng.integers(len(self.forms))]
        left = LENGTH - text.num_cached
        count = 1 if self.rng.random() < 0.6 and text.num_cached else int(self.rng.integers(1, left + 1))
        more = self.shape.blocks(text.num_cached + count, form) - len(text.blocks)
        if more > len(self.free):
            return None
        text.form, text.blocks, self.free = form, text.blocks + self.free[: max(0, more)], self.free[max(0, more) :]
        return text, count


def joined(copies: list[Copies]) -> Copies:
    """All of them as one."""
    if not copies:
        return NO_COPIES
    return Copies(np.concatenate([c.source for c in copies]), np.concatenate([c.target for c in copies]))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_full_attention(name: str, device: str) -> None:
    """Prefill, chunks, decode, both forms, swaps, promotion, and blocks in any order: all give the same logits."""
    feeder = Feeder(MODELS[name], seed=1, device=device)
    checked = [feeder.step() for _ in range(150)]
    assert sum(count for count, _ in checked) > 300
    assert max(error for _, error in checked) <= 1
