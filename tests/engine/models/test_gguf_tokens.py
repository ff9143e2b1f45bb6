"""GGUF files with SentencePiece's scores, as llama.cpp has them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aptsched import InputError
from byte_level import TOKENS, metadata
from engine.models.gguf_special_tokens import end_token_ids
from engine.models.gguf_tokenizer import tokenizer_of
from engine.models.tokenizer import Tokenizer

BYTES = [f"<0x{i:02X}>" for i in range(256)]
NORMAL, CONTROL, USER_DEFINED, BYTE = 1, 3, 4, 6
HEAD = ["<unk>", "<s>", "</s>", *BYTES]
HEAD_TYPES = [2, CONTROL, CONTROL, *[BYTE] * 256]


def spm(pieces: dict[str, float], special: dict[str, int] | None = None, **changes: Any) -> Tokenizer:
    """A tokenizer of pieces and their scores, after Llama 2's first 259 tokens, and of tokens of other types."""
    special = special or {}
    made = tokenizer_of(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": [*HEAD, *pieces, *special],
            "tokenizer.ggml.scores": [*[0.0] * len(HEAD), *pieces.values(), *[0.0] * len(special)],
            "tokenizer.ggml.token_type": [*HEAD_TYPES, *[NORMAL] * len(pieces), *special.values()],
            **{f"tokenizer.ggml.{key}": value for key, value in changes.items()},
        }
    )
    assert made is not None
    return made


def one_by_one(text: str, ids: dict[str, int], scores: dict[str, float]) -> list[int]:
    """SentencePiece's merges, by looking at all neighbours each time; bytes for what is no token."""
    symbols = list(text)
    while True:
        pairs = [symbols[i] + symbols[i + 1] for i in range(len(symbols) - 1)]
        found = [(scores[pair], -i) for i, pair in enumerate(pairs) if pair in ids]
        if not found:
            break
        at = -max(found)[1]
        symbols[at : at + 2] = [pairs[at]]
    return [i for s in symbols for i in ([ids[s]] if s in ids else [3 + byte for byte in s.encode()])]


def reference(text: str, pieces: dict[str, float], special: dict[str, int], adds_space: bool) -> list[int]:
    """What a text becomes: the longest special tokens first, and a space before what is at the start or follows one."""
    ids = {token: i for i, token in enumerate([*HEAD, *pieces, *special])}
    scores = {**dict.fromkeys([*HEAD, *special], 0.0), **pieces}
    matched = ["<unk>", "<s>", "</s>", *special]
    parts: list[tuple[bool, str]] = [(False, text)]
    for token in sorted(matched, key=lambda token: -len(token.encode())):
        split = []
        for is_special, part in parts:
            while not is_special and token in part:
                before, part = part.split(token, 1)
                split += [(False, before), (True, token)]
            split.append((is_special, part))
        parts = [(is_special, part) for is_special, part in split if part]
    found: list[int] = []
    for i, (is_special, part) in enumerate(parts):
        space = " " if adds_space and (i == 0 or parts[i - 1][0]) else ""
        found += [ids[part]] if is_special else one_by_one((space + part).replace(" ", "▁"), ids, scores)
    return found


LETTERS = "ab▁é"
PIECES = st.dictionaries(
    st.text(LETTERS, min_size=1, max_size=5), st.floats(-4, 0, width=16) | st.sampled_from([-1.0, -2.0]), max_size=25
)
SPECIAL = st.dictionaries(
    st.sampled_from(["<a>", "<a><b>", "b<a", " <s", "<é>"]), st.sampled_from([CONTROL, USER_DEFINED])
)
PARTS = st.text("ab é🙂\n", max_size=12) | st.sampled_from(["<a>", "<b>", "</s>", "b<a", "<é>", "▁"])


@given(PIECES, SPECIAL, st.lists(PARTS, max_size=5).map("".join), st.booleans())
@example({"ab": -1.0, "aba": -2.0, "ba": -1.0, "a": -5.0, "b": -5.0}, {}, "ababab", False)
@example({"aa": -1.0, "aaa": -1.0, "aaaa": -1.0}, {}, "aaaaaaa", True)  # of equal scores the leftmost
@settings(max_examples=300)
def test_pieces_are_merged_by_their_scores(
    pieces: dict[str, float], special: dict[str, int], text: str, adds_space: bool
) -> None:
    """The best pair first, whatever vocabulary: ties, pieces whose letters are no tokens, bytes, special tokens."""
    made = spm(pieces, special, add_space_prefix=adds_space)
    assert made.encode(text, add_special_tokens=False) == reference(text, pieces, special, adds_space)
    assert made.encode(text) == [1, *made.encode(text, add_special_tokens=False)]


@given(PIECES, st.text(st.characters(codec="utf-8", exclude_characters="▁<")), st.booleans())
def test_a_text_survives(pieces: dict[str, float], text: str, adds_space: bool) -> None:
    """Of whatever pieces, since bytes are tokens; without the space that is put before it."""
    made = spm({"▁": -9.0, **pieces}, add_space_prefix=adds_space)
    assert made.decode(made.encode(text)) == text


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("after", [True, False])
def test_tokens_before_and_after_a_text(before: bool, after: bool) -> None:
    """As add_bos_token and add_eos_token say; one before it where they say nothing."""
    pieces = {"▁a": -1.0}
    made = spm(pieces, add_bos_token=before, add_eos_token=after)
    assert made.encode("a") == [*[1] * before, 259, *[2] * after]
    assert made.encode("a", add_special_tokens=False) == [259]
    assert spm(pieces).encode("a") == [1, 259]
    assert (made.special_tokens["bos_token"], made.special_tokens["unk_token"]) == ("<s>", "<unk>")


def test_what_control_unused_and_user_defined_tokens_decode_to() -> None:
    """Nothing, nothing, and what they are written as."""
    made = spm({"▁a": -1.0}, {"<c>": CONTROL, "<u>": 5, "<▁d>": USER_DEFINED})
    assert made.decode([1, 259, 260, 261, 262, 259]) == "a<▁d> a"
    assert made.encode("<u>", add_special_tokens=False)[-1] != 261


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [0.0]}, "tokenizer.ggml.scores: a list of a number for each of 260 tokens is needed"),
        ({"scores": [float("nan")] * 260}, "tokenizer.ggml.scores: nan is not accepted; numbers are"),
        ({"scores": ["x"] * 260}, "tokenizer.ggml.scores: 'x' is not accepted; numbers are"),
        (
            {"token_type": [BYTE] * 260},
            "tokenizer.ggml.tokens: '<unk>' is not accepted as a byte; '<0x00>' to",
        ),
        (
            {"remove_extra_whitespaces": True},
            "tokenizer.ggml.remove_extra_whitespaces: True is not supported; False is",
        ),
        ({"precompiled_charsmap": [1]}, "tokenizer.ggml.precompiled_charsmap: .1. is not supported"),
        ({"add_space_prefix": "no"}, "tokenizer.ggml.add_space_prefix: 'no' is not accepted; true or false is"),
        ({"bos_token_id": 260}, "tokenizer.ggml.bos_token_id: 260 is not accepted; a token from 0 to 259 is"),
    ],
)
def test_metadata_that_are_not_supported(changes: dict[str, Any], message: str) -> None:
    """The key, its value, what is accepted."""
    with pytest.raises(InputError, match=message):
        spm({"a": -1.0}, **changes)


def test_a_character_without_a_token() -> None:
    """Where not even its bytes are tokens, it is named."""
    made = tokenizer_of({"tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "▁", "a"]})
    assert made is not None
    assert made.encode("aa") == [1, 3, 4, 4]
    with pytest.raises(InputError, match="prompt: 'é' is not accepted: it has no token, and no token of its bytes"):
        made.encode("aé")


def test_a_file_that_says_it_has_no_tokenizer() -> None:
    """None, which is no error: prompts may come as tokens."""
    assert tokenizer_of({"tokenizer.ggml.model": "no_vocab"}) is None
    assert tokenizer_of({"tokenizer.ggml.model": "none"}) is None


SCALARS = st.none() | st.booleans() | st.integers(-2, 300) | st.just(2**63) | st.floats() | st.text(max_size=3)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.sampled_from([TOKENS, [1] * len(TOKENS), [0.5] * len(TOKENS)])
KEYS = [
    *("model", "pre", "tokens", "merges", "scores", "token_type", "bos_token_id", "eos_token_id", "eom_token_id"),
    *("add_bos_token", "add_eos_token", "add_space_prefix", "suppress_tokens", "fim_pad_token_id", "prefix_token_id"),
]


@settings(max_examples=300)
@given(st.sampled_from(["gpt2", "llama"]), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3))
def test_any_metadata_are_used_or_refused(model: str, changes: dict[str, Any]) -> None:
    """Whatever stands under a key, nothing but InputError is raised."""
    found = metadata(model=model, scores=[0.0] * len(TOKENS)) | {f"tokenizer.ggml.{k}": v for k, v in changes.items()}
    with suppress(InputError):
        end_token_ids(found)
    with suppress(InputError):
        made = tokenizer_of(found)
        assert made is None or made.decode(made.encode("a the 12")) in ("a the 12", "a the 12")


@pytest.mark.parametrize(
    ("metadata_of", "expected"),
    [
        ({"": "D{{ messages[0].content }}", ".rag": "R"}, "DHi"),
        ({".default": "D{{ messages[0].content }}", ".rag": "R"}, "DHi"),
        ({".rag": "R"}, "chat_template: none of rag is named 'default'"),
        ({"": 5}, "tokenizer.chat_template: 5 is not accepted; a template is"),
    ],
)
def test_several_chat_templates(metadata_of: dict[str, Any], expected: str) -> None:
    """The one without a name, or the one named so; where there is none, the message names those that are there."""
    try:
        templates = {f"tokenizer.chat_template{key}": text for key, text in metadata_of.items()}
        made = tokenizer_of(metadata() | templates)
        assert made is not None
        found = made.chat_prompt([{"role": "user", "content": "Hi"}])
    except InputError as error:
        found = str(error)
    assert found.startswith(expected)
