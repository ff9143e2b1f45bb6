"""A small byte-level tokenizer as GGUF metadata and as GPT-2's files: each byte a token, a few merges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import pre_tokenizers

from engine.models.gguf_tokenizer import tokenizer_of
from engine.models.tokenizer import Tokenizer

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())  # one token for each byte
# Bytes in the alphabet's order: printable ones are written as themselves, the others from U+0100 on.
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTE_OF = {chr(b): b for b in PRINTABLE} | {
    chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in PRINTABLE)
}
CHAR_OF = {b: c for c, b in BYTE_OF.items()}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["Ġ t", "h e", "Ġt he", "Ġ Ġ", "1 2", "Ã ©"]
TOKENS = [*SPECIAL, *ALPHABET, *(merge.replace(" ", "") for merge in MERGES), "<tool>"]
PLAIN = [1] * len(TOKENS)  # types of tokens that are all text, but for those that are control tokens by what they say


def metadata(**changes: Any) -> dict[str, Any]:
    """A small byte-level tokenizer as GGUF has it; None leaves a key out."""
    whole = {
        "model": "gpt2",
        "pre": "smollm",
        "tokens": TOKENS,
        "merges": MERGES,
        "token_type": [3] * len(SPECIAL) + [1] * (len(TOKENS) - len(SPECIAL) - 1) + [4],
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in (whole | changes).items() if value is not None}


def built(**changes: Any) -> Tokenizer:
    """The tokenizer of such metadata."""
    made = tokenizer_of(metadata(**changes))
    assert made is not None
    return made


def write_gpt2(directory: Path, **settings: Any) -> Path:
    """Its vocab.json and merges.txt, and a tokenizer_config.json; no tokenizer.json."""
    (directory / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(TOKENS)}))
    (directory / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return directory
