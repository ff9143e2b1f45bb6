"""Byte-level tokenizers from GGUF metadata."""

from __future__ import annotations

from typing import Any

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from aptsched import InputError
from byte_level import PLAIN, TOKENS, built
from engine.models.checkpoint import smollm2_path
from engine.models.gguf_header import read_header
from engine.models.gguf_tokenizer import tokenizer_of
from engine.models.tokenizer import FastBackend, Tokenizer

SMALL = built()


def pieces(of: Tokenizer, text: str) -> list[str]:
    return [TOKENS[i] for i in of.encode(text)]


def test_smollm_splits_digits_and_keeps_spaces_before_them() -> None:
    """Each digit is a token of its own, and the two spaces before one stay together."""
    assert pieces(SMALL, "12  3 the") == ["1", "2", "ĠĠ", "3", "Ġthe"]


def test_gpt2_lets_digits_merge_and_take_a_space() -> None:
    """Where the file says gpt-2, runs of digits are one word, with the space before it."""
    assert pieces(built(pre="gpt-2"), "12  3 the") == ["12", "Ġ", "Ġ", "3", "Ġthe"]


def test_special_tokens_are_whole_and_not_decoded() -> None:
    """Control tokens stand for themselves in a text and for nothing in the answer; user-defined ones are text."""
    ids = SMALL.encode("<|im_start|>the<tool><|im_end|>")
    assert [TOKENS[i] for i in ids] == ["<|im_start|>", "t", "he", "<tool>", "<|im_end|>"]
    assert SMALL.decode(ids) == "the<tool>"


def test_the_begin_of_text_token_is_added_where_the_file_says_so() -> None:
    """Once, before the text; not to a prompt that has its special tokens already."""
    adding = built(add_bos_token=True)
    assert pieces(SMALL, "the")[0] == "t"
    assert pieces(adding, "the") == ["<|im_start|>", "t", "he"]
    assert adding.encode("the", add_special_tokens=False) == SMALL.encode("the")


def test_the_end_of_text_token_is_added_where_the_file_says_so() -> None:
    """After the text, with or without one before it; not to a prompt that has its special tokens already."""
    assert pieces(built(add_eos_token=True), "the") == ["t", "he", "<|im_end|>"]
    both = built(add_bos_token=True, add_eos_token=True)
    assert pieces(both, "the") == ["<|im_start|>", "t", "he", "<|im_end|>"]
    assert both.encode("the", add_special_tokens=False) == SMALL.encode("the")


@pytest.mark.parametrize("text", ["a\ud800b", "caf\udcc3", "\udfff"])
def test_a_text_that_is_not_unicode(text: str) -> None:
    """Half of a surrogate pair, as of a prompt whose bytes are not UTF-8, is refused: which character it is."""
    with pytest.raises(InputError, match=f"prompt: character {len(text) - len(text.lstrip('acf'))}, .* is not Unicode"):
        SMALL.encode(text)


@given(st.text())
def test_any_text_survives(text: str) -> None:
    """Bytes are tokens, so that nothing is unknown."""
    plain = built(token_type=PLAIN)
    assert plain.decode(plain.encode(text)) == text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "t5"}, "tokenizer.ggml.model: 't5' is not supported; 'gpt2' .* and 'llama' .* are"),
        (
            {"pre": "deepseek-llm"},
            "tokenizer.ggml.pre: 'deepseek-llm' is not supported; smollm, gpt-2, llama-bpe, llama3",
        ),
        ({"tokens": None}, "tokenizer.ggml.tokens: NoneType is not accepted; a list of strings is needed"),
        ({"merges": ["x yz"]}, "tokenizer.ggml.merges: not merges of tokenizer.ggml.tokens"),
        ({"token_type": [1]}, "tokenizer.ggml.token_type: 1 are not accepted; one for each of"),
        ({"token_type": "x" * 268}, "tokenizer.ggml.token_type: str is not accepted; a list of whole numbers is"),
        ({"tokens": [*TOKENS[:-1], "a"]}, "tokenizer.ggml.tokens: 'a' is there twice"),
        ({"add_bos_token": 1}, "tokenizer.ggml.add_bos_token: 1 is not accepted; true or false is"),
        (
            {"add_eos_token": True, "eos_token_id": None},
            "tokenizer.ggml.eos_token_id: it is missing; it is needed where",
        ),
        ({"add_space_prefix": True}, "tokenizer.ggml.add_space_prefix: true is not supported with model 'gpt2'"),
        ({"add_sep_token": True}, "tokenizer.ggml.add_sep_token: True is not supported; False is"),
        ({"suppress_tokens": [3]}, "tokenizer.ggml.suppress_tokens: .3. is not supported"),
        ({"eos_token_id": 10**6}, "tokenizer.ggml.eos_token_id: 1000000 is not accepted; a token from 0 to"),
    ],
)
def test_metadata_that_are_not_supported(changes: dict[str, Any], message: str) -> None:
    """The key, its value, what is accepted."""
    with pytest.raises(InputError, match=message):
        built(**changes)


def test_llama3_splits_by_its_own_expression() -> None:
    """Contractions in either case, three digits at most, line ends apart from the spaces after them."""
    made = built(pre="llama-bpe", token_type=PLAIN, add_bos_token=False).backend
    assert isinstance(made, FastBackend)
    split = [piece for piece, _ in made.tokenizer.pre_tokenizer.pre_tokenize_str("I'LL pay 12345 the  the!!\n\n  x")]
    assert split == ["I", "'LL", "Ġpay", "Ġ", "123", "45", "Ġthe", "Ġ", "Ġthe", "!!ĊĊ", "Ġ", "Ġx"]


def test_llama3_adds_its_begin_of_text_token() -> None:
    """Unless the file says otherwise."""
    assert built(pre="llama-bpe").encode("the")[0] == 1
    assert built(pre="llama-bpe", add_bos_token=False).encode("the")[0] != 1


@pytest.fixture(scope="module")
def smollm2() -> Tokenizer:
    made = tokenizer_of(read_header(smollm2_path()).metadata)
    assert made is not None
    return made


# From a tokenizer whose tokens for llama.cpp's test text have the digest that it gives for the Hugging Face original.
KNOWN = {
    "Hello, world!": [19556, 28, 905, 17],
    "In 2025 it's 3.14": [788, 216, 34, 32, 34, 37, 357, 506, 216, 35, 30, 33, 36],
    "x =  5\n\n\treturn x": [104, 446, 256, 37, 1116, 197, 5406, 1792],
    "naïve 🦙 café": [3546, 46494, 15107, 116, 243, 37366],
}


@pytest.mark.parametrize("text", KNOWN)
def test_smollm2_has_the_tokens_of_the_original(smollm2: Tokenizer, text: str) -> None:
    """Digits, runs of spaces, line ends, letters with accents, emoji."""
    assert smollm2.encode(text) == KNOWN[text]
    assert smollm2.decode(KNOWN[text]) == text


CHATS = [
    [{"role": "user", "content": "Hi"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "1+1"}],
]


@pytest.mark.parametrize("messages", CHATS)
def test_a_chat_prompt_is_that_of_transformers(smollm2: Tokenizer, messages: list[dict[str, str]]) -> None:
    """SmolLM2's template, with its system message where there is none."""
    assert isinstance(smollm2.backend, FastBackend)
    reference = transformers.PreTrainedTokenizerFast(tokenizer_object=smollm2.backend.tokenizer)
    reference.chat_template = smollm2.chat_template
    expected = reference.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert smollm2.chat_prompt(messages) == expected
    assert expected.count("<|im_start|>system\n") == 1
