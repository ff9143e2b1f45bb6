"""`aptsched generate`: chat templates, texts that are not Unicode, and OPT as on its hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from byte_level import MERGES, TOKENS
from checkpoints import random_model
from commands import call
from tiny_model import LLAMA, save_model

OPTIONS = ["--threads", "1", "--max-tokens", "3", "--cache-mem", "1MiB"]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return Path(save_model(tmp_path / "llama", LLAMA))


def with_settings(directory: Path, **settings: Any) -> str:
    (directory / "tokenizer_config.json").write_text(json.dumps(settings))
    return str(directory)


def test_a_chat_template_list_is_used(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Case chat-template-list: without a word of it, the template named "default"; the tokens of transformers."""
    templates = [
        {"name": "default", "template": "user: {{ messages[0].content }} |"},
        {"name": "tool_use", "template": "T"},
    ]
    model = with_settings(directory, bos_token="A", eos_token="|", chat_template=templates)
    assert call("generate", "--model", model, *OPTIONS, "--prompt", "hello", "--json") == 0
    (completion,) = json.loads(capsys.readouterr().out)["completions"]
    reference = transformers.AutoTokenizer.from_pretrained(directory)
    expected = reference.apply_chat_template([{"role": "user", "content": "hello"}], add_generation_prompt=True)
    assert completion["prompt_token_ids"] == expected["input_ids"]
    assert reference.decode(expected["input_ids"]) == "user: hello |"


FAULTY = {
    "{{ 1 / 0 }}": "ZeroDivisionError",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}": "RecursionError",
    "{% for i in range(99999) %}{% for i in range(99999) %}{% endfor %}{% endfor %}": "does not end",
    "{{ messages | nothing }}": "nothing",
    "{{ raise_exception('not today') }}": "not today",
    "{% if %}": "TemplateSyntaxError",
}


@pytest.mark.parametrize("template", FAULTY)
def test_a_template_that_fails_is_one_line(directory: Path, capsys: pytest.CaptureFixture[str], template: str) -> None:
    """Which names the template and why; without a template the same model answers."""
    model = with_settings(directory, chat_template=template)
    assert call("generate", "--model", model, *OPTIONS, "--prompt", "Hi") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: chat_template: ") and err.count("\n") == 1 and FAULTY[template] in err
    assert call("generate", "--model", model, *OPTIONS, "--prompt", "Hi", "--no-chat") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--prompt", "caf\udcc3"], "error: prompt: character 3, '\\udcc3', is not Unicode text"),
        (["--prompt", "caf\udcc3", "--chat"], "error: prompt: character 3, '\\udcc3', is not Unicode text"),
        (
            ["--prompt", "Hi", "--stop-token", "\udcff"],
            "error: stop_token: character 0, '\\udcff', is not",
        ),
        (["--prompt", "Hi", "--stop-token", "9" * 5000], "error: stop_token: '999"),
    ],
)
def test_arguments_that_are_not_utf8(
    directory: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    """Case prompt-not-utf8: one line, which can be written anywhere, and exit code 2."""
    model = with_settings(directory, chat_template="{{ messages[0].content }}")
    options = [] if "--chat" in arguments else ["--no-chat"]
    assert call("generate", "--model", model, *OPTIONS, *arguments, *options) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(message) and err.count("\n") == 1 and err.isascii()


def test_opt_as_on_its_hub_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Case opt-hub-directory: pytorch_model.bin, vocab.json, merges.txt and add_bos_token, and no tokenizer.json."""
    model = random_model("opt", vocab_size=len(TOKENS))
    model.config.save_pretrained(tmp_path)
    torch.save(dict(model.named_parameters()), tmp_path / "pytorch_model.bin")
    vocabulary = ["<s>", "<pad>", "</s>", *TOKENS[3:]]
    (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(vocabulary)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(MERGES) + "\n")
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "</s>")
    with_settings(tmp_path, tokenizer_class="GPT2Tokenizer", add_bos_token=True, **names)
    assert call("generate", "--model", str(tmp_path), *OPTIONS, "--prompt", " the", "--json") == 0
    (completion,) = json.loads(capsys.readouterr().out)["completions"]
    assert completion["prompt_token_ids"] == [2, vocabulary.index("Ġthe")]
    assert completion["prompt_token_ids"] == transformers.AutoTokenizer.from_pretrained(tmp_path)(" the")["input_ids"]


def test_settings_that_tokenizer_json_contradicts_are_said(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On one line of stderr: which file counts."""
    model = with_settings(directory, eos_token="A", add_eos_token=True)
    assert call("generate", "--model", model, *OPTIONS, "--prompt", "Hi") == 0
    said = "add_eos_token is true, but tokenizer.json does not add it; tokenizer.json counts"
    assert f"note: tokenizer_config.json: {said}\n" in capsys.readouterr().err
