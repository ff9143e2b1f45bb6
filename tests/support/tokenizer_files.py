"""Tokenizers in Hugging Face directories, loaded by us and by transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import transformers
from tokenizers import AddedToken, decoders, models, pre_tokenizers
from tokenizers import Tokenizer as Backend

from byte_level import MERGES, TOKENS
from engine.models.hf_tokenizer import from_directory
from engine.models.tokenizer import Tokenizer


def whole(directory: Path, post_processor: Any = None, **settings: Any) -> Path:
    """A tokenizer.json of byte-level tokens, of which two are special, and the other files of settings."""
    merges = [(left, right) for left, right in map(str.split, MERGES)]
    backend = Backend(models.BPE({token: i for i, token in enumerate(TOKENS)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    if post_processor is not None:
        backend.post_processor = post_processor
    backend.add_special_tokens([AddedToken(token, special=True) for token in TOKENS[:2]])
    backend.enable_truncation(3)
    backend.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


def loaded(directory: Path) -> Tokenizer:
    """Our tokenizer of a directory."""
    made = from_directory(directory)
    assert made is not None
    return made


def reference_of(directory: Path, model_type: str = "llama") -> Any:
    """The tokenizer of transformers, which asks the configuration of the model for its class."""
    (directory / "config.json").write_text(json.dumps({"model_type": model_type}))
    return transformers.AutoTokenizer.from_pretrained(directory)
