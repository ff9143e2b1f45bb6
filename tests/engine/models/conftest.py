"""Hugging Face directories of a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from checkpoints import random_model


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A Llama with two KV heads, in one file."""
    random_model("llama", num_key_value_heads=2).save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def sharded(tmp_path: Path) -> Path:
    """A Llama in nine files and their index."""
    random_model("llama").save_pretrained(tmp_path, max_shard_size="30KB")
    return tmp_path
