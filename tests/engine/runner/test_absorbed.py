"""When attention over hidden states is absorbed, and what is not computed then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from aptsched import InputError
from aptsched.scheduling.forms import CacheForm
from engine.calibration.measure import uniform_batch
from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.qkv import QKV
from engine.models.random_weights import random_weights
from engine.models.rope import Angles
from engine.runner.torch_executor import TorchExecutor
from engine.state.batch import Batch

SIZES: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 48,
    "num_layers": 3,
    "num_heads": 4,
    "num_kv_heads": 4,
    "head_dim": 12,
    "intermediate_size": 16,
    "max_positions": 128,
    "norm_eps": 1e-5,
}
MODELS = {
    "opt": ModelConfig(**SIZES, architecture=architecture.OPT, activation="relu", attention_bias=True, mlp_bias=True),
    "llama": ModelConfig(**SIZES, architecture=architecture.LLAMA, activation="silu"),
}
LIMIT = 12 * 48 // 36  # head_dim hidden_size / (hidden_size - head_dim)


class Counted:
    """An executor of a small model, and how often it computed K and V of all tokens of a layer at once."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch, absorb_up_to: int | None = None) -> None:
        config = MODELS[name]
        self.cache, self.num_products = config.cache(), 0
        decoder = Decoder(config, random_weights(config, torch.Generator().manual_seed(0)))
        self.executor = TorchExecutor(decoder, 40, absorb_up_to=absorb_up_to)
        product = QKV.keys_and_values

        def counted(qkv: QKV, hidden: torch.Tensor, angles: Angles | None) -> torch.Tensor:
            self.num_products += 1
            return product(qkv, hidden, angles)

        monkeypatch.setattr(QKV, "keys_and_values", counted)

    def run(self, *parts: tuple[int, int, int, CacheForm]) -> int:
        """How often, for a batch of parts: requests, tokens cached of each, new tokens of each, form."""
        batches = [uniform_batch(size, cached, new, form, self.cache) for size, cached, new, form in parts]
        width = max(batch.block_table.shape[1] for batch in batches)
        tables = [np.pad(b.block_table, ((0, 0), (0, width - b.block_table.shape[1]))) for b in batches]
        tables = [table + 20 * number for number, table in enumerate(tables)]
        joined = Batch(
            [request for batch in batches for request in batch.requests],
            np.concatenate([batch.start for batch in batches]),
            np.concatenate([batch.num_tokens for batch in batches]),
            np.concatenate([batch.form for batch in batches]),
            np.concatenate(tables),
            np.concatenate([batch.samples for batch in batches]),
        )
        before = self.num_products
        self.executor.run(joined)
        return self.num_products - before


@pytest.mark.parametrize("name", MODELS)
def test_it_is_absorbed_up_to_the_limit_of_the_shape(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk of as many new tokens rebuilds nothing, and one more rebuilds each of the three layers."""
    counted = Counted(name, monkeypatch)
    assert counted.run((1, 30, LIMIT, CacheForm.HIDDEN)) == 0
    assert counted.run((1, 30, LIMIT + 1, CacheForm.HIDDEN)) == 3


@pytest.mark.parametrize(("limit", "num_products"), [(0, 3), (1, 0), (100, 0)])
def test_another_limit_can_be_given(limit: int, num_products: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 rebuilds decodes too; above that they are absorbed."""
    assert Counted("opt", monkeypatch, limit).run((2, 30, 1, CacheForm.HIDDEN)) == num_products


@pytest.mark.parametrize("name", MODELS)
def test_new_tokens_have_k_and_v_where_those_are_needed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a prefill, which attends to itself, and by a form that stores them; not by decodes in hidden form alone."""
    counted = Counted(name, monkeypatch)
    decode, prefill = (2, 30, 1, CacheForm.HIDDEN), (1, 0, 30, CacheForm.HIDDEN)
    assert counted.run(prefill) == 3
    assert counted.run(decode) == 0
    assert counted.run(decode, prefill) == 3
    assert counted.run(decode, (2, 30, 1, CacheForm.KV)) == 3


@pytest.mark.parametrize("given", [-1, 1.5, True, "many"])
def test_a_limit_that_is_no_count_is_refused(given: Any) -> None:
    """By one message that names it."""
    decoder = Decoder(MODELS["opt"], random_weights(MODELS["opt"], torch.Generator().manual_seed(0)))
    with pytest.raises(InputError, match=r"absorb_up_to: .* is not accepted; a whole number of at least 0 is"):
        TorchExecutor(decoder, 4, absorb_up_to=given)
