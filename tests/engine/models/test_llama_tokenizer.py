"""Llama tokenizers of Hugging Face directories, held against what transformers loads from the same files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, normalizers, processors
from tokenizers import Tokenizer as Backend

from engine.models.tokenizer import Tokenizer
from tokenizer_files import loaded, reference_of

LLAMA_TOKENS = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
PIECES = ["▁", "a", "b", "▁a", "ab", "▁ab", "▁▁"]
PAIRS = [("▁", "a"), ("a", "b"), ("▁", "ab"), ("▁a", "b"), ("▁", "▁")]
LLAMA_SETTINGS = [
    {key: value for key, value in (("legacy", legacy), ("add_prefix_space", adds)) if value is not None}
    for legacy in (None, True, False)
    for adds in (None, True, False)
]


def llama(directory: Path, tokens: list[str], **settings: Any) -> Path:
    """A tokenizer.json as Llama 2's was written: the space before a text is its normalizer's."""
    backend = Backend(
        models.BPE({t: i for i, t in enumerate(tokens)}, PAIRS, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens[:3]])
    backend.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    backend.save(str(directory / "tokenizer.json"))
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory


@pytest.fixture(scope="module")
def llamas(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, Tokenizer]]:
    """Transformers' tokenizer and ours of directories that name LlamaTokenizer, and of some that do not."""
    pairs = []
    for tokens in ([*LLAMA_TOKENS, *PIECES], [*LLAMA_TOKENS[:3], *PIECES]):
        for given_settings in (*({"tokenizer_class": "LlamaTokenizerFast", **each} for each in LLAMA_SETTINGS), {}):
            directory = llama(tmp_path_factory.mktemp("llama"), tokens, **given_settings)
            pairs.append((reference_of(directory), loaded(directory)))
    return pairs


@settings(max_examples=60)
@given(text=st.lists(st.sampled_from([*"ab é🦙", "  ", "<s>", "</s>", "<unk>"]), max_size=8).map("".join))
def test_llama_tokenizers_are_those_of_transformers(llamas: list[tuple[Any, Tokenizer]], text: str) -> None:
    """Spaces are as legacy and add_prefix_space say of a LlamaTokenizer, as the file says where there is no class."""
    for reference, made in llamas:
        ids = reference(text)["input_ids"]
        assert made.encode(text) == ids
        stream = made.stream()
        assert "".join(map(stream.push, ids)) + stream.finish() == reference.decode(ids, skip_special_tokens=True)
