"""Keys: logits on every path are those of full attention, a row lies where the form says, bad weights are refused."""

from __future__ import annotations

import dataclasses
from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from aptsched.policies.aptserve import AptServe
from aptsched.scheduling.forms import CacheForm
from aptsched.support.errors import InputError
from devices import DEVICES
from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.model import Model
from engine.models.random_weights import random_weights
from engine.models.weights import Linear, Weights, expand_kv_heads
from engine.runner.forms.attend_to_kv import by_reader
from engine.runner.forms.keys import KeysBlocks
from engine.runner.forms.projections import projections
from engine.runner.torch_executor import TorchExecutor
from engine.session.engine import Engine
from engine.state.batch import Batch
from engine.state.request import Request
from feeder import NUM_BLOCKS, NUM_HOST_BLOCKS, Feeder
from plain_forms import FullAttention
from plain_model import plain_logits

SIZES: dict[str, Any] = {
    "vocab_size": 128,
    "num_layers": 3,
    "intermediate_size": 96,
    "max_positions": 77,  # no multiple of a block's tokens
    "norm_eps": 1e-5,
    "hidden_size": 48,
}
OPT: dict[str, Any] = {"architecture": architecture.OPT, "activation": "relu", "attention_bias": True, "mlp_bias": True}
LLAMA: dict[str, Any] = {"architecture": architecture.LLAMA, "activation": "silu"}
GQA = ModelConfig(**SIZES, **LLAMA, num_heads=4, num_kv_heads=2, head_dim=12)
MODELS = {
    "opt": ModelConfig(**SIZES, **OPT, num_heads=4, num_kv_heads=4, head_dim=12),
    "llama": ModelConfig(**SIZES, **LLAMA, num_heads=4, num_kv_heads=4, head_dim=12),
    "llama with biases": ModelConfig(**SIZES, **LLAMA, attention_bias=True, num_heads=3, num_kv_heads=3, head_dim=16),
}


def ready(name: str, dtype: torch.dtype = torch.float32, device: str = "cpu") -> tuple[TorchExecutor, Weights]:
    """An executor that can hold keys, and the model's weights."""
    config = MODELS[name]
    weights = random_weights(config, torch.Generator().manual_seed(1), dtype, device)
    executor = TorchExecutor(Decoder(config, weights), NUM_BLOCKS, num_host_blocks=NUM_HOST_BLOCKS)
    executor.prepare([CacheForm.KEYS])
    return executor, weights


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MODELS)
def test_logits_are_those_of_full_attention(name: str, dtype: torch.dtype, device: str) -> None:
    """Prefill, chunks long and short, decode, swaps, conversions both ways: within the tolerance of exact forms."""
    executor, weights = ready(name, dtype, device)
    config = MODELS[name]

    def expected(token_ids: list[int]) -> FullAttention:
        return FullAttention(plain_logits(config, weights, token_ids).cpu())

    forms = [CacheForm.KEYS, CacheForm.KV, CacheForm.HIDDEN]
    becomes = {CacheForm.KEYS: CacheForm.KV, CacheForm.KV: CacheForm.KEYS, CacheForm.HIDDEN: CacheForm.KV}
    feeder = Feeder(executor, forms, becomes, expected, np.random.default_rng(1))
    checked = [pair for _ in range(60) for pair in feeder.step()]
    assert len(checked) > 150 and feeder.num_conversions > 40
    for found, wanted in checked:
        absolute, relative = (1e-4, 1e-5) if dtype == torch.float32 else (0.0, 1e-10)
        assert (found - wanted).abs().max() <= absolute + relative * wanted.abs().max()


def written(executor: TorchExecutor, num_tokens: tuple[int, int]) -> tuple[KeysBlocks, np.ndarray, torch.Tensor]:
    """The form, a block table of two requests with so many random tokens in layer 1, and their K and V, one by one."""
    form = executor.forms[CacheForm.KEYS]
    assert isinstance(form, KeysBlocks)
    table = np.array([[7, 2, 5], [1, 9, 4]])
    owner = np.repeat([0, 1], num_tokens)
    positions = np.concatenate([np.arange(count) for count in num_tokens])
    config = executor.decoder.config
    hidden = torch.randn(len(owner), config.hidden_size, generator=torch.Generator().manual_seed(3))
    hidden = hidden.to(executor.decoder.dtype)
    kv = executor.decoder.keys_and_values(1, hidden, torch.from_numpy(positions))
    form.writer(table, owner, positions)(1, kv)
    return form, table, kv


@pytest.mark.parametrize("name", MODELS)
def test_what_is_read_is_what_was_written(name: str) -> None:
    """K turned as it was, and V; in the layer that was written alone, and in blocks that the ratio says."""
    executor, _ = ready(name, torch.float64)
    form, table, kv = written(executor, (60, 33))
    assert form.tokens_per_block == 28 and form.width == 54
    read = form.reader(table, np.array([60, 33]))(1)
    assert torch.allclose(read[0, :60], kv[:60], atol=1e-12) and torch.allclose(read[1, :33], kv[60:], atol=1e-12)
    assert not executor.storage.blocks[0].any() and not executor.storage.blocks[2].any()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("num_new", [1, 3])
def test_sums_of_rows_give_what_k_and_v_give(name: str, num_new: int) -> None:
    """For as few new tokens as it is meant for, of requests of different lengths, without V of any token."""
    executor, _ = ready(name, torch.float64)
    form, table, _ = written(executor, (60, 33))
    counts, config = np.array([60, 33]), executor.decoder.config
    assert num_new <= config.absorb_up_to
    shape = (2 * num_new, config.num_heads, config.head_dim)
    q = torch.randn(shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    until = torch.from_numpy(counts)[:, None] - num_new + torch.arange(num_new)
    visible = (torch.arange(form.length(60)) <= until[:, :, None])[:, None]
    found = form.attender(table, counts, visible)(1, q)
    assert torch.allclose(found, by_reader(form.reader(table, counts), visible)(1, q), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", MODELS)
def test_in_16_bits_v_is_off_by_the_amplification(name: str, dtype: torch.dtype) -> None:
    """The error of V read is at most four times what rounding of K alone would give, and K's own rounding stays."""
    executor, _ = ready(name, dtype)
    form, table, kv = written(executor, (60, 33))
    read = form.reader(table, np.array([60, 33]))(1)[0, :60].double()
    k_error, v_error = ((read - kv[:60]).square().mean((0, 2, 3)) / kv[:60].double().square().mean((0, 2, 3))).sqrt()
    rounding = torch.finfo(dtype).eps / 4
    assert k_error <= 4 * rounding and v_error <= 4 * 4 * rounding


def decoded(executor: TorchExecutor, token_ids: np.ndarray, form: CacheForm) -> torch.Tensor:
    """Log-probabilities of the next token after a prefill of 20 tokens and each decode that follows, [t, vocab]."""
    request, found = Request(0, 0.0, len(token_ids), prompt_token_ids=token_ids), []
    for start, stop in pairwise([0, *range(20, len(token_ids) + 1)]):
        table = np.arange(-(-stop // executor.forms[form].tokens_per_block))[None]
        first, count, of = (np.array([each]) for each in (start, stop - start, form))
        found.append(executor.sampled(Batch([request], first, count, of, table, np.array([True])))[1][0])
    return torch.stack(found).double().log_softmax(-1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", MODELS)
def test_in_16_bits_next_tokens_are_nearly_as_far_off_as_with_kv(name: str, dtype: torch.dtype) -> None:
    """The Kullback-Leibler divergence from the same weights in float32 is at most twice KV's, over 200 tokens."""
    executor, weights = ready(name, dtype)
    wide = TorchExecutor(Decoder(MODELS[name], in_float32(weights)), NUM_BLOCKS)
    rng, far = np.random.default_rng(2), {CacheForm.KV: 0.0, CacheForm.KEYS: 0.0}
    for _ in range(4):
        token_ids = rng.integers(0, 128, 70)
        exact = decoded(wide, token_ids, CacheForm.KV)
        for form in far:
            far[form] += float((exact.exp() * (exact - decoded(executor, token_ids, form))).sum())
    assert 0 < far[CacheForm.KEYS] <= 2 * far[CacheForm.KV]


def in_float32(weights: Weights) -> Weights:
    """The same numbers in float32."""

    def wide(each: Any) -> Any:
        if isinstance(each, torch.Tensor):
            return each.float()
        if isinstance(each, tuple):
            return tuple(map(wide, each))
        if each is None:
            return None
        return dataclasses.replace(each, **{item.name: wide(getattr(each, item.name)) for item in fields(each)})

    found: Weights = wide(weights)
    return found


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", MODELS)
def test_the_projections_are_found_from_their_products(name: str, dtype: torch.dtype) -> None:
    """As the decoder got them: all bits without a bias, and to a fraction of the dtype's rounding with one."""
    executor, weights = ready(name, dtype)
    for number, layer in enumerate(weights.layers):
        given = layer.qkv.weight[48:].double().view(2, 48, 48)
        found = projections(executor.decoder, number)
        for each, wanted in zip(found, given, strict=True):
            most = 0.0 if layer.qkv.bias is None else float(wanted.abs().max()) * torch.finfo(dtype).eps / 32
            assert (each.weight - wanted).abs().max() <= most
        biases = torch.cat([torch.zeros(48) if each.bias is None else each.bias for each in found])
        assert layer.qkv.bias is None or torch.equal(biases, layer.qkv.bias[48:].double())


def test_a_layer_in_which_k_does_not_determine_v_is_refused() -> None:
    """A twin of shared heads has a singular W_k in every layer: one message with the first, and the number."""
    config, weights = expand_kv_heads(GQA, random_weights(GQA, torch.Generator().manual_seed(0)))
    engine_of = Model("twin", Decoder(config, weights))
    said = (
        r"^wanted_forms: keys is not accepted \(.* times the rounding of K would be that of V in layer 0\); up to 12 "
    )
    with pytest.raises(InputError, match=said):
        Engine(engine_of, AptServe(forms="kv+keys"), num_blocks=8)
    assert not Engine(engine_of, AptServe(), num_blocks=8).pool.cache.offers(CacheForm.KEYS)


def test_the_layer_is_named() -> None:
    """One bad layer is enough."""
    config = MODELS["llama"]
    weights = random_weights(config, torch.Generator().manual_seed(0))
    last = weights.layers[2]
    qkv = Linear(last.qkv.weight.clone())
    qkv.weight[48:96].zero_()
    layers = (*weights.layers[:2], dataclasses.replace(last, qkv=qkv))
    model = Model("llama", Decoder(config, dataclasses.replace(weights, layers=layers)))
    with pytest.raises(InputError, match=r"\(inf times the rounding of K would be that of V in layer 2\)"):
        Engine(model, AptServe(forms="keys"), num_blocks=8)


def test_shared_heads_have_no_keys_form() -> None:
    """K has fewer values than a hidden state, so it says too little of V: the form is not held."""
    model = Model("gqa", Decoder(GQA, random_weights(GQA, torch.Generator().manual_seed(0))))
    with pytest.raises(InputError, match=r"^wanted_forms: keys is not accepted; this server holds kv, hidden, int8$"):
        Engine(model, AptServe(forms="kv+keys"), num_blocks=8)
