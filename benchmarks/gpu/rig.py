"""What is measured on: a device, and models of OPT's and Llama's shapes whose random weights are made there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from aptsched.scheduling.forms import CacheShape, lossy_ratios
from benchmarks.engine import timed
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.known_models import MODELS
from engine.models.model import Model
from engine.models.random_weights import random_weights
from engine.models.weights import Weights

OPT_13B = MODELS["opt-13b"]
SHAPES = {
    **MODELS,
    "opt-1.3b": dataclasses.replace(
        OPT_13B, num_layers=24, hidden_size=2048, num_heads=32, num_kv_heads=32, head_dim=64, intermediate_size=8192
    ),
}
Size = TypeVar("Size")
TINY: dict[str, Any] = {
    "vocab_size": 512,
    "num_layers": 2,
    "intermediate_size": 64,
    "max_positions": 160,
    "hidden_size": 48,
    "num_heads": 4,
    "head_dim": 12,
}


@dataclass(frozen=True)
class Rig:
    """The device that is measured, and whether this is a trial in tiny sizes.

    Attributes
    ----------
    device : str
        Of torch.
    is_tiny : bool
        Models of two narrow layers, small batches and few repeats, so that all of it runs on a CPU in a minute.
    out : Path
        The folder that results are written to.
    """

    device: str
    is_tiny: bool
    out: Path

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and cache: half precision, or single precision on a CPU."""
        return torch.float32 if self.device == "cpu" else torch.float16

    def size(self, usual: Size, tiny: Size) -> Size:
        """One number or the other, or some numbers or others."""
        return tiny if self.is_tiny else usual

    def config(self, name: str, num_layers: int | None = None) -> ModelConfig:
        """A shape by its name, with fewer layers where that is asked for, or a tiny one of the same kind."""
        config = SHAPES[name]
        if self.is_tiny:
            shared = config.num_heads // config.num_kv_heads
            config = dataclasses.replace(config, **TINY, num_kv_heads=4 // min(shared, 2))
        return dataclasses.replace(config, name=name, num_layers=num_layers or config.num_layers)

    def cache(self, config: ModelConfig) -> CacheShape:
        """The `CacheShape` of a model, with the lossy forms that it can have."""
        return config.cache().with_forms(lossy_ratios(config, self.dtype.itemsize))

    def weights(self, config: ModelConfig) -> Weights:
        """Random weights, drawn on the device."""
        return random_weights(config, torch.Generator(self.device).manual_seed(0), self.dtype, self.device)

    def model(self, config: ModelConfig) -> Model:
        """A model of random weights, without a tokenizer."""
        return Model(config.name, Decoder(config, self.weights(config)))

    def seconds(self, call: Callable[[], object], repeats: int = 20) -> float:
        """Seconds of the fastest of several calls after three to warm up, on the device alone.

        With CUDA the call is captured once and replayed, so that what the host takes to launch it does not count.
        """
        repeats = self.size(repeats, 2)
        if torch.device(self.device).type != "cuda":
            return min(timed(call) for _ in range(repeats))
        return min(_replayed_s(call, repeats))


def _replayed_s(call: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each replay of a call that was captured in a CUDA graph."""
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    found = []
    for _ in range(repeats + 1):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end) / 1e3)
    return found[1:]
