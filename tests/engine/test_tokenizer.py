"""Tokenizers from GGUF metadata and from Hugging Face directories, and texts that come token by token."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from aptsched import InputError
from engine.models import tokenizer
from engine.models.gguf_header import read_header
from engine.models.gguf_tokenizer import tokenizer_of
from engine.models.load import smollm2_path
from engine.models.tokenizer import Tokenizer

ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())  # one token for each byte
# Bytes in the alphabet's order: printable ones are written as themselves, the others from U+0100 on.
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTE_OF = {chr(b): b for b in PRINTABLE} | {
    chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in PRINTABLE)
}
CHAR_OF = {b: c for c, b in BYTE_OF.items()}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = ["<unk>", *(f"<0x{i:02X}>" for i in range(256)), "▁", "a", "▁a"]
MERGES = ["Ġ t", "h e", "Ġt he", "Ġ Ġ", "1 2", "Ã ©"]
TOKENS = [*SPECIAL, *ALPHABET, *(merge.replace(" ", "") for merge in MERGES), "<tool>"]


def metadata(**changes: Any) -> dict[str, Any]:
    """A small byte-level tokenizer as GGUF has it."""
    whole = {
        "model": "gpt2",
        "pre": "smollm",
        "tokens": TOKENS,
        "merges": MERGES,
        "token_type": [3] * len(SPECIAL) + [1] * (len(TOKENS) - len(SPECIAL) - 1) + [4],
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in (whole | changes).items()}


def built(**changes: Any) -> Tokenizer:
    made = tokenizer_of(metadata(**changes))
    assert made is not None
    return made


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


@given(st.text())
def test_any_text_survives(text: str) -> None:
    """Bytes are tokens, so that nothing is unknown."""
    plain = built(token_type=[])
    assert plain.decode(plain.encode(text)) == text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "llama"}, "tokenizer.ggml.model: 'llama' is not supported; 'gpt2'"),
        ({"pre": "deepseek-llm"}, "tokenizer.ggml.pre: 'deepseek-llm' is not supported; smollm, gpt-2, llama-bpe are"),
        ({"tokens": None}, "tokenizer.ggml.tokens: NoneType is not accepted; a list of strings is needed"),
        ({"merges": ["x yz"]}, "tokenizer.ggml.merges: not merges of tokenizer.ggml.tokens"),
        ({"token_type": [1]}, "tokenizer.ggml.token_type: 1 are not accepted; one for each of"),
        ({"eos_token_id": 10**6}, "tokenizer.ggml.eos_token_id: 1000000 is not accepted; a token from 0 to"),
    ],
)
def test_metadata_that_are_not_supported(changes: dict[str, Any], message: str) -> None:
    """The key, its value, what is accepted."""
    with pytest.raises(InputError, match=message):
        built(**changes)


def test_llama3_splits_by_its_own_expression() -> None:
    """Contractions in either case, three digits at most, line ends apart from the spaces after them."""
    made = built(pre="llama-bpe", token_type=[], add_bos_token=False).backend
    split = [piece for piece, _ in made.pre_tokenizer.pre_tokenize_str("I'LL pay 12345 the  the!!\n\n  x")]
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
    reference = transformers.PreTrainedTokenizerFast(tokenizer_object=smollm2.backend)
    reference.chat_template = smollm2.chat_template
    expected = reference.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert smollm2.chat_prompt(messages) == expected
    assert expected.count("<|im_start|>system\n") == 1


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "chat_template: the model has none"),
        ("{{ raise_exception('no system') }}", "chat_template: no system"),
        ("{% if %}", "chat_template: it cannot be used"),
        ("{{ messages.x.y }}", "chat_template: it cannot be used"),
    ],
)
def test_a_chat_that_the_model_does_not_take(template: str | None, message: str) -> None:
    """No template, one that refuses, one that is broken."""
    with pytest.raises(InputError, match=message):
        Tokenizer(SMALL.backend, template).chat_prompt(CHATS[0])


TOKEN = st.integers(0, len(TOKENS) - 1)
TEXT_TOKENS = st.text().map(SMALL.encode)
# Beginnings, middles and ends of characters of three and four bytes.
BROKEN_TOKENS = st.lists(
    st.sampled_from([TOKENS.index(c) for c, b in BYTE_OF.items() if b in b"\xe2\x82\xac\xf0\x9f\x80"]), max_size=60
)


@given(st.lists(st.one_of(TOKEN.map(lambda i: [i]), TEXT_TOKENS, BROKEN_TOKENS), max_size=6))
@example([[TOKENS.index(CHAR_OF[b]) for b in b"\x80" + b"\xe2\x82" * 9]])  # half of the window ends within a character
def test_a_stream_is_the_text(runs: list[list[int]]) -> None:
    """What it returns, joined, is what all tokens decode to, also where bytes are not UTF-8."""
    ids = list(chain.from_iterable(runs))
    stream = SMALL.stream()
    parts = [stream.push(i) for i in ids]
    assert "".join(parts) + stream.finish() == SMALL.decode(ids)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\ufffd"), max_size=60))
def test_a_stream_holds_back_no_whole_character(text: str) -> None:
    """As soon as the last byte of a character is there, so is the character; before that, nothing of it."""
    stream, given_bytes, returned = SMALL.stream(), b"", ""
    for token_id in built(token_type=[]).encode(text):
        given_bytes += bytes(BYTE_OF[c] for c in TOKENS[token_id]) if token_id >= len(SPECIAL) else b""
        returned += stream.push(token_id)
        assert returned == given_bytes.decode(errors="ignore")


def test_a_stream_of_broken_bytes_keeps_a_short_window() -> None:
    """Each token costs a few tokens' decoding, also where no character ever ends."""
    decoded: list[int] = []

    class Counting(Tokenizer):
        def decode(self, token_ids: Any) -> str:
            decoded.append(len(token_ids))
            return super().decode(token_ids)

    stream = Counting(SMALL.backend).stream()
    for _ in range(300):
        stream.push(TOKENS.index("¤"))
    assert max(decoded) <= tokenizer.MAX_WINDOW + 1
    assert len(decoded) <= 3 * 300


def byte_fallback() -> Tokenizer:
    """A tokenizer of Llama 2's kind, and its tokens: unknown, 256 bytes, a space, a word."""
    backend = Backend(models.BPE({word: i for i, word in enumerate(WORDS)}, [("▁", "a")], byte_fallback=True))
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return Tokenizer(backend)


def test_a_stream_with_byte_fallback() -> None:
    """Characters of several byte tokens, one after the other, and words with a space before them."""
    made = byte_fallback()
    ids = [WORDS.index("▁a"), *(1 + byte for byte in "🦙é🦙".encode()), WORDS.index("▁a"), WORDS.index("▁a")]
    stream = made.stream()
    assert "".join(stream.push(i) for i in ids) == made.decode(ids) == "a🦙é🦙 a a"


def test_a_stream_goes_on_after_bytes_that_are_no_text() -> None:
    """With byte fallback too it does not wait for ever, and words after them are whole."""
    stream = byte_fallback().stream()
    ids = [WORDS.index("▁a"), *(1 + byte for byte in "🦙".encode()), *([1 + 0x80] * 60), WORDS.index("▁a")]
    parts = [stream.push(i) for i in ids]
    assert "".join(parts[:-1]).startswith("a🦙\ufffd\ufffd")
    assert parts[-1].endswith(" a")


def saved(directory: Path) -> Any:
    """A tokenizer of OPT's kind, saved by transformers."""
    (directory / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(TOKENS)}))
    (directory / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    reference = transformers.GPT2Tokenizer(
        str(directory / "vocab.json"), str(directory / "merges.txt"), bos_token="<|im_end|>", add_bos_token=True
    )
    reference.chat_template = "{{ bos_token }}{{ messages[0].content }}"
    reference.save_pretrained(directory)
    return reference


def test_a_directory_has_the_tokenizer_that_transformers_saved(tmp_path: Path) -> None:
    """The same tokens, with OPT's token before the text, and the same chat template."""
    reference = saved(tmp_path)
    made = tokenizer.from_directory(tmp_path)
    assert made is not None
    for text in ("the cat  12", "é 🦙", ""):
        assert made.encode(text) == reference.encode(text)
        assert made.encode(text)[:1] == [2]
    assert made.chat_prompt(CHATS[0]) == "<|im_end|>Hi"


def test_a_directory_without_a_tokenizer(tmp_path: Path) -> None:
    """It has none, which is no error: prompts may come as tokens."""
    assert tokenizer.from_directory(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{}", '{"model": {"type": "magic"}}'])
def test_a_tokenizer_file_that_is_damaged(tmp_path: Path, content: str) -> None:
    """The file is named."""
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match=r"tokenizer.json: not a tokenizer that the tokenizers package reads"):
        tokenizer.from_directory(tmp_path)
