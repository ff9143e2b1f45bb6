"""Hugging Face directories whose tokenizer is damaged, of another kind, or not there: one message, or none is used."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import InputError
from byte_level import write_gpt2
from engine.models.hf_tokenizer import from_directory
from tokenizer_files import loaded, whole


def test_a_directory_without_a_tokenizer(tmp_path: Path) -> None:
    """It has none, which is no error: prompts may come as tokens."""
    assert from_directory(tmp_path) is None


@pytest.mark.parametrize("name", ["tokenizer.model", "tekken.json", "vocab.json"])
def test_a_tokenizer_of_another_kind(tmp_path: Path, name: str) -> None:
    """SentencePiece's model alone, among others: the message says what is accepted."""
    (tmp_path / name).write_text("{}")
    accepted = r"not supported; tokenizer.json is, or vocab.json and merges.txt of a GPT2Tokenizer"
    with pytest.raises(InputError, match=f"{name} of no class: {accepted}"):
        from_directory(tmp_path)


DEEP, DIGITS = "[" * 100_000, "1" * 5000
WRONG: list[tuple[str, str, str]] = [
    ("tokenizer.json", "", "tokenizer.json: not a tokenizer that the tokenizers package reads"),
    ("tokenizer.json", "{}", "tokenizer.json: not a tokenizer that the tokenizers package reads"),
    ("tokenizer.json", '{"model": {"type": "magic"}}', "tokenizer.json: not a tokenizer that the tokenizers package"),
    ("tokenizer.json", DEEP, "tokenizer.json: not a tokenizer that the tokenizers package reads"),
    ("tokenizer.json", f'{{"version": {DIGITS}}}', "tokenizer.json: not a tokenizer that the tokenizers package reads"),
    ("tokenizer.json", "\0", "tokenizer.json: not a tokenizer that the tokenizers package reads"),
    ("tokenizer_config.json", DEEP, "tokenizer_config.json: nested too deeply"),
    (
        "tokenizer_config.json",
        f'{{"bos_token": {DIGITS}}}',
        "tokenizer_config.json: .* digits are not accepted",
    ),
    ("tokenizer_config.json", "[]", "tokenizer_config.json: list is not accepted; a JSON object is"),
    (
        "tokenizer_config.json",
        '{"bos_token": 1}',
        "tokenizer_config.json: bos_token: 1 is not accepted; a token's text",
    ),
    (
        "tokenizer_config.json",
        '{"eos_token": {"text": "a"}}',
        "eos_token: {'text': 'a'} is not accepted; a token's text",
    ),
    ("tokenizer_config.json", '{"eos_token": {"content": "a", "lstrip": 1}}', "eos_token: lstrip 1 is not accepted"),
    ("tokenizer_config.json", '{"added_tokens_decoder": [1]}', "added_tokens_decoder: .1. is not accepted; an object"),
    ("tokenizer_config.json", '{"added_tokens_decoder": {"x": "a"}}', "added_tokens_decoder: 'x' is not accepted"),
    ("tokenizer_config.json", f'{{"added_tokens_decoder": {{"{DIGITS}": "a"}}}}', "added_tokens_decoder: '111"),
    ("tokenizer_config.json", '{"extra_special_tokens": "a"}', "extra_special_tokens: 'a' is not accepted; a list"),
    (
        "tokenizer_config.json",
        '{"split_special_tokens": "yes"}',
        "split_special_tokens: 'yes' is not accepted; true or",
    ),
    ("tokenizer_config.json", '{"chat_template": 5}', "chat_template: 5 is not accepted; a template is, or a list"),
    ("tokenizer_config.json", '{"chat_template": []}', "chat_template: {} is not accepted; a template is, or a list"),
    ("tokenizer_config.json", '{"chat_template": [{"name": "x"}]}', "chat_template: {'x': None} is not accepted"),
    ("special_tokens_map.json", '{"pad_token": [1]}', "pad_token: .1. is not accepted; a token's text is"),
    ("added_tokens.json", '{"a": "b"}', "added_tokens.json: 'b' is not accepted; token numbers are"),
    ("chat_template.json", "5", "chat_template.json: int is not accepted; a JSON object is"),
    ("chat_template.json", '{"chat_template": [5]}', "chat_template.json: chat_template: .5. is not accepted"),
]


@pytest.mark.parametrize(("name", "content", "message"), WRONG, ids=range(len(WRONG)))
def test_a_file_that_is_damaged(tmp_path: Path, name: str, content: str, message: str) -> None:
    """Not JSON, too deep, thousands of digits, another type: the file, the field and what is accepted."""
    (whole(tmp_path) / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        from_directory(tmp_path)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.json", '{"a": -1}', "vocab.json: 'a': -1 is not accepted; a token number is"),
        ("vocab.json", f'{{"a": {2**40}}}', "vocab.json: 'a': 1099511627776 is not accepted; a token number is"),
        ("vocab.json", '{"a": "b"}', "vocab.json: 'a': 'b' is not accepted; a token number is"),
        ("vocab.json", '{"a": 1}', "merges.txt: not merges of vocab.json"),
        ("merges.txt", "a b c", "merges.txt: 'a b c' is not accepted; two tokens with a space between them are"),
        ("merges.txt", "x yz", "merges.txt: not merges of vocab.json"),
        ("merges.txt", "a \0", "merges.txt: not merges of vocab.json"),
        (
            "tokenizer_config.json",
            '{"add_bos_token": true, "bos_token": null, "tokenizer_class": "GPT2Tokenizer"}',
            "add_bos",
        ),
    ],
)
def test_a_vocabulary_that_is_damaged(tmp_path: Path, name: str, content: str, message: str) -> None:
    """Numbers that are none, merges of tokens that are not there."""
    (write_gpt2(tmp_path, tokenizer_class="GPT2Tokenizer") / name).write_text(content)
    with pytest.raises(InputError, match=message):
        from_directory(tmp_path)


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"]
)
def test_a_pipe_in_place_of_a_file(tmp_path: Path, name: str) -> None:
    """It is refused, and nobody waits for somebody to write to it."""
    (whole(tmp_path) / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: a pipe or a device is not accepted"):
        from_directory(tmp_path)


VALUES = [None, -1, 10**6, 2**70, "", "x", [], {}, True, {"type": "ByteLevel"}, {"type": "Fuse"}, ["a", "b"]]


@settings(max_examples=150)
@given(st.data())
def test_any_tokenizer_json_is_used_or_refused(data: st.DataObject) -> None:
    """Whatever stands in one of its places, loading, encoding and streaming raise nothing but InputError."""
    with TemporaryDirectory() as name:
        path = whole(Path(name)) / "tokenizer.json"
        content = json.loads(path.read_text())
        places = [(content, key) for key in content]
        for _ in range(data.draw(st.integers(0, 3))):
            inner = [node[key] for node, key in places if isinstance(node[key], (dict, list)) and node[key]]
            if not inner:
                break
            node = data.draw(st.sampled_from(inner))
            places = [(node, key) for key in (node if isinstance(node, dict) else range(len(node)))]
        node, key = data.draw(st.sampled_from(places))
        node[key] = data.draw(st.sampled_from(VALUES))
        path.write_text(json.dumps(content))
        with suppress(InputError):
            made = loaded(Path(name))
            stream = made.stream()
            ids = made.encode("the cat <|im_start|>")
            assert "".join(map(stream.push, ids)) + stream.finish() == made.decode(ids)
