"""GGUF files with SentencePiece's scores, and which tokens end a text: as llama.cpp has them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aptsched import InputError
from byte_level import TOKENS, metadata
from checkpoints import random_model, write_gguf
from engine.models.gguf_special_tokens import end_token_ids
from engine.models.gguf_tokenizer import tokenizer_of
from engine.models.model import load_model
from engine.models.tokenizer import Tokenizer
from engine.session.engine import Engine
from engine.state.sampling_params import SamplingParams

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


@pytest.mark.parametrize("key", ["eos", "eom", "fim_pad"])
def test_an_end_of_text_that_is_no_token(key: str) -> None:
    """The key, its value, what is accepted."""
    with pytest.raises(InputError, match=f"tokenizer.ggml.{key}_token_id: 3 is not accepted; a token from 0 to 2 is"):
        ends("a", "b", "c", **{key: 3})


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
