"""Output tokens a second against transformers' `generate`, on the same weights."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from aptsched.scheduling.forms import CacheForm
from aptsched.support.errors import described
from benchmarks.engine import against_generate, transformers_config
from benchmarks.gpu.rig import Rig
from benchmarks.tables import Row
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.model import Model
from engine.models.weights import Linear, Norm, Weights
from engine.session.engine import Engine

SHAPES = ("opt-13b", "opt-125m", "opt-1.3b")  # the one that matters most comes first
Against = Callable[[Engine, Any, int, np.random.Generator, int, tuple[int, int]], Row]


def rows(rig: Rig) -> Iterator[Row]:
    """For each shape a row for each number of requests."""
    return against_transformers(rig, against_generate)


def against_transformers(rig: Rig, against: Against) -> Iterator[Row]:
    """One comparison for each shape and number of requests; what fails is a row too, with its reason."""
    rng, lengths = np.random.default_rng(0), rig.size((128, 64), (8, 4))
    for name in rig.size(SHAPES, SHAPES[:1]):
        config = rig.config(name)
        weights = rig.weights(config)
        sizes = rig.size((1, 8, 32, 128), (1, 3))
        num_blocks = max(sizes) * config.cache().blocks(sum(lengths) + 3 * lengths[0] // 4, CacheForm.KV)
        model = Model(name, Decoder(config, weights))
        engine = Engine(model, num_blocks=num_blocks, max_tokens=8192)
        peer = transformers_model(config, weights)
        for size in sizes:
            call = partial(against, engine, peer, size, rng, 1 if name == "opt-13b" else 2, lengths)
            yield {"model": name, **attempted(call)}
        del engine, model, peer, weights
        gc.collect()


def attempted(call: Callable[[], Row]) -> Row:
    """The row of a comparison, or why there is none."""
    try:
        return call()
    except Exception as error:  # of another program, whatever it is
        return {"what": "failed", "why": described(error)[:300]}


def transformers_model(config: ModelConfig, weights: Weights) -> Any:
    """A model in transformers whose tensors are ours, not copies, but for the table of positions."""
    from transformers import OPTForCausalLM

    with torch.device("meta"):
        peer: Any = OPTForCausalLM(transformers_config(config))
    state = {f"model.decoder.{name}": tensor for name, tensor in tensors(config, weights)}
    peer.load_state_dict({**state, "lm_head.weight": weights.lm_head}, assign=True)
    return peer.eval()


def tensors(config: ModelConfig, weights: Weights) -> Iterator[tuple[str, torch.Tensor]]:
    """Our tensors by the names that transformers gives to those of OPT."""
    assert weights.positions is not None
    unused = weights.positions[: config.num_position_rows - config.max_positions]
    yield "embed_tokens.weight", weights.embed
    yield "embed_positions.weight", torch.cat([unused, weights.positions])
    yield from _both("final_layer_norm", weights.final_norm)
    for number, layer in enumerate(weights.layers):
        prefix, width = f"layers.{number}.", config.hidden_size
        assert layer.qkv.bias is not None
        for i, name in enumerate(("q_proj", "k_proj", "v_proj")):
            part = slice(i * width, (i + 1) * width)
            yield from _both(f"{prefix}self_attn.{name}", Linear(layer.qkv.weight[part], layer.qkv.bias[part]))
        yield from _both(f"{prefix}self_attn.out_proj", layer.out)
        yield from _both(f"{prefix}self_attn_layer_norm", layer.attn_norm)
        yield from _both(f"{prefix}final_layer_norm", layer.mlp_norm)
        yield from _both(f"{prefix}fc1", layer.up)
        yield from _both(f"{prefix}fc2", layer.down)


def _both(name: str, part: Linear | Norm) -> Iterator[tuple[str, torch.Tensor]]:
    assert part.bias is not None
    yield f"{name}.weight", part.weight
    yield f"{name}.bias", part.bias
