"""Which tokens of a GGUF file end a text, as llama.cpp has them, and files of models with such tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aptsched import InputError
from byte_level import TOKENS, metadata
from checkpoints import random_model, write_gguf
from engine.models.gguf_special_tokens import end_token_ids
from engine.models.gguf_tokenizer import tokenizer_of
from engine.models.model import load_model
from engine.session.engine import Engine
from engine.state.sampling_params import SamplingParams


def ends(*tokens: str, **ids: int) -> set[str]:
    """What ends a text in a file of these tokens, which are all plain text, with these keys."""
    given_keys = {f"tokenizer.ggml.{key}_token_id": number for key, number in ids.items()}
    found = {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": list(tokens), **given_keys}
    return {tokens[i] for i in end_token_ids(found)}


@pytest.mark.parametrize("key", ["eos", "eot", "eom", "fim_pad", "fim_rep", "fim_sep"])
def test_ends_of_text_by_metadata(key: str) -> None:
    """Six keys name tokens that end a text; those of what is before, within and after a gap do not."""
    assert ends("a", "b", "c", **{key: 1}) == {"b"}
    assert ends("a", "b", "c", bos=0, fim_pre=0, fim_suf=1, fim_mid=2, **{key: 1}) == {"b"}


@pytest.mark.parametrize(
    "token",
    [
        *(
            "<|eot_id|>",
            "<|im_end|>",
            "<|end|>",
            "<end_of_turn>",
            "<|endoftext|>",
            "<|end_of_text|>",
            "<EOT>",
            "_<EOT>",
        ),
        *("</s>", "<eos>", "[EOS]", "[EOT]", "<|eom_id|>", "<end_of_utterance>", "<|return|>", "<|call|>"),
        *("<fim-pad>", "[PAD]", "<reponame>", "<|file_sep|>", "<\uff5cend▁of▁sentence\uff5c>", "<|tool_response>"),
    ],
)
def test_ends_of_text_by_text(token: str) -> None:
    """Tokens that are written as such tokens are, whatever the metadata say, and beside the one that they name."""
    assert ends("a", "b", token, eos=0) == {"a", token}


@pytest.mark.parametrize(
    "token", ["<|eot|>", "<s>", "<|start_header_id|>", "<|fim_prefix|>", "<PRE>", "<pad>", "<unk>", "eos"]
)
def test_tokens_that_end_no_text(token: str) -> None:
    """However much they look like it."""
    assert ends("a", token, eos=0) == {"a"}


@pytest.mark.parametrize("key", ["eos", "eom", "fim_pad"])
def test_an_end_of_text_that_is_no_token(key: str) -> None:
    """The key, its value, what is accepted."""
    with pytest.raises(InputError, match=f"tokenizer.ggml.{key}_token_id: 3 is not accepted; a token from 0 to 2 is"):
        ends("a", "b", "c", **{key: 3})


def test_a_named_token_of_a_meaning_goes_before_one_of_that_text() -> None:
    """What pads a gap is named, so that what is written as such is no longer; the old names of keys count too."""
    assert ends("a", "b", "<PAD>", eos=0, fim_pad=1) == {"a", "b"}
    assert ends("a", "<|end|>", "<|call|>", "<|return|>", eos=0) == {"a", "<|call|>", "<|return|>"}
    assert ends("a", "<|end|>", "<|call|>", eos=0) == {"a", "<|end|>", "<|call|>"}
    assert ends("a", "</s>", "<|tool_response>", eos=1) == {"<|tool_response>"}


def test_a_llama_file_without_keys_ends_texts_as_llama_does() -> None:
    """At token 2, with model "llama" alone."""
    tokens = {"tokenizer.ggml.tokens": ["x", "y", "z"]}
    assert end_token_ids({"tokenizer.ggml.model": "llama", **tokens}) == (2,)
    assert end_token_ids({"tokenizer.ggml.model": "gpt2", **tokens}) == ()
    assert end_token_ids({}) == ()


def test_tokens_that_end_a_text_are_matched_whole_and_no_text() -> None:
    """Though the file has them as plain text."""
    tokens = [*TOKENS[:-1], "<|eot_id|>"]
    made = tokenizer_of(metadata(tokens=tokens, token_type=[1] * len(tokens)))
    assert made is not None
    ids = made.encode("the<|eot_id|>")
    assert ids[-1] == len(tokens) - 1
    assert made.decode(ids) == "the"


def write_with_tokens(path: Path, tokens: list[str], **ids: int) -> None:
    """A small Llama with these tokens."""

    found: dict[str, Any] = {"model": "llama", "tokens": tokens, "scores": [-float(i) for i in range(len(tokens))]}
    found |= {f"{key}_token_id": number for key, number in ids.items()}
    model = random_model("llama", num_key_value_heads=2)
    write_gguf(path, model, metadata={f"tokenizer.ggml.{key}": value for key, value in found.items()})


@pytest.mark.parametrize(("text", "keys"), [("<|eot_id|>", []), ("x", ["eom"]), ("x", ["eot"])])
def test_generation_ends_at_such_a_token(tmp_path: Path, text: str, keys: list[str]) -> None:
    """By its text or by metadata, though another token is the one that eos_token_id names."""
    tokens = [f"t{i}" for i in range(99)]
    write_with_tokens(tmp_path / "free.gguf", tokens, bos=0, eos=98)
    params = SamplingParams(max_tokens=8)
    free = Engine(load_model(tmp_path / "free.gguf"), num_blocks=8).generate([[5, 6, 7]], params)[0].token_ids
    last = free[2]
    tokens[last] = text
    write_with_tokens(tmp_path / "ends.gguf", tokens, bos=0, eos=98, **dict.fromkeys(keys, last))
    done = Engine(load_model(tmp_path / "ends.gguf"), num_blocks=8).generate([[5, 6, 7]], params)[0]
    assert done.token_ids == free[: free.index(last) + 1]
    assert len(free) == 8


def test_keys_of_the_tokenizer_that_are_not_known_are_said(tmp_path: Path) -> None:
    """By name, with what else is said of the model; of all other keys nothing is."""
    write_with_tokens(tmp_path / "said.gguf", [f"t{i}" for i in range(99)], mask=5, fim_pre=6, unheard=7)
    assert load_model(tmp_path / "said.gguf").config.notices == (
        "metadata: tokenizer.ggml.unheard_token_id: not known, and not used",
    )


def test_more_tokens_than_the_model_has_rows(tmp_path: Path) -> None:
    """A file whose tokens have numbers that the model does not know is refused."""
    write_with_tokens(tmp_path / "more.gguf", [f"t{i}" for i in range(100)])
    with pytest.raises(InputError, match=r"more.gguf: tokenizer.ggml.tokens: 100 are not accepted; up to 99 are"):
        load_model(tmp_path / "more.gguf")
