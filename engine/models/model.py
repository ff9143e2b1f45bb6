"""A model that is ready to run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.models.checkpoint import DTYPES
from engine.models.checkpoint import load_model as read
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.model_names import model_name
from engine.models.tokenizer import Tokenizer
from engine.models.weights import Layer


@dataclass(frozen=True, eq=False)
class Model:
    """A decoder and its tokenizer, which is None where the model's files have none.

    Attributes
    ----------
    name : str
    decoder : Decoder
    tokenizer : Tokenizer or None
    """

    name: str
    decoder: Decoder
    tokenizer: Tokenizer | None = None

    @property
    def config(self) -> ModelConfig:
        """Sizes and kinds."""
        return self.decoder.config

    @property
    def notices(self) -> tuple[str, ...]:
        """A line for each thing in the model's files that is not used or was assumed."""
        return self.config.notices

    @property
    def dtype(self) -> str:
        """Name of the dtype of weights and cache: fp32, bf16 or fp16."""
        return next(name for name, dtype in DTYPES.items() if dtype == self.decoder.dtype)


def load_model(
    name_or_path: str | os.PathLike[str],
    dtype: str = "fp32",
    device: str = "cpu",
    expand_kv_heads: bool = False,
) -> Model:
    """Load a model: "smollm2", a Hugging Face directory or a .gguf file.

    Parameters and errors are those of `checkpoint.load_model`. Memory holds at most one copy of the weights and one
    layer at any time.
    """
    loaded = read(name_or_path, dtype, device, expand_kv_heads)
    config, tokenizer, layers = loaded.config, loaded.tokenizer, list(loaded.weights.layers)
    rest = replace(loaded.weights, layers=())
    del loaded
    name = model_name(name_or_path, expand_kv_heads)
    return Model(name, Decoder(config, rest, _handed_over(layers)), tokenizer)


def _handed_over(layers: list[Layer]) -> Iterator[Layer]:
    """The layers one by one, each removed from the list."""
    while layers:
        yield layers.pop(0)
