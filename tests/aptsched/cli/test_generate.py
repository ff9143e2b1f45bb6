"""`aptsched generate`, on a tiny model whose tokens are bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from commands import call
from cut_text import cut
from tiny_model import LLAMA, OPT, save_model

SAMPLED = ["--temperature", "1", "--threads", "1", "--max-tokens", "24", "--cache-mem", "1MiB"]


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_model(tmp_path_factory.mktemp("models") / "llama", LLAMA, chat=True)


def document_of(capsys: pytest.CaptureFixture[str]) -> dict[str, list[dict[str, object]]]:
    """What --json printed."""
    document: dict[str, list[dict[str, object]]] = json.loads(capsys.readouterr().out)
    return document


def test_what_is_streamed_is_the_text(tiny_opt: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the same seed; another one gives another text."""
    given = ["generate", "--model", tiny_opt, *SAMPLED, "--prompt", "Once"]
    assert call(*given, "--seed", "4") == 0
    out, err = capsys.readouterr()
    texts = []
    for seed in ("4", "5"):
        assert call(*given, "--seed", seed, "--json") == 0
        (completion,) = document_of(capsys)["completions"]
        assert len(completion["token_ids"]) == 24 == len(completion["token_at_s"])  # type: ignore[arg-type]
        assert completion["outcome"] == "finished"
        texts.append(completion["text"])
    assert out == f"{texts[0]}\n" and err == "" and texts[0] != texts[1]


def test_several_prompts_are_numbered(tiny_opt: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has the text that it has alone; one that is too long is rejected with the numbers, the others go on."""
    command = ["generate", "--model", tiny_opt, *SAMPLED]
    assert call(*command, "--prompt", "One") == 0
    alone = capsys.readouterr().out
    assert call(*command, "--prompt", "x" * 300, "--prompt", "One") == 1
    out, err = capsys.readouterr()
    assert out.endswith(f"[2] One\n{alone}\n")
    assert err.startswith("error: prompt 1: num_prompt_tokens: 300 is not accepted; 1 to 255 are")


def test_chat_is_what_a_model_with_a_template_does(chatty: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Unless it is told not to."""
    prompts = []
    for options in ([], ["--chat"], ["--no-chat"]):
        assert call("generate", "--model", chatty, *SAMPLED, "--prompt", "Hi", "--json", *options) == 0
        (completion,) = document_of(capsys)["completions"]
        prompts.append(len(completion["prompt_token_ids"]))  # type: ignore[arg-type]
    assert prompts == [len("<user> Hi\n<assistant>")] * 2 + [len("Hi")]


def test_a_stop_token_ends_the_text(tiny_opt: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By its number or its text; the document says why a text ended, and by which token."""
    given = ["generate", "--model", tiny_opt, *SAMPLED, "--prompt", "Once", "--json"]
    assert call(*given) == 0
    completion = document_of(capsys)["completions"][0]
    assert (completion["finish_reason"], completion["stop_reason"]) == ("length", None)
    token_ids = completion["token_ids"]
    assert isinstance(token_ids, list)
    stop = token_ids[5]
    assert call(*given, "--stop-token", str(stop)) == 0
    completion = document_of(capsys)["completions"][0]
    assert completion["token_ids"] == token_ids[: token_ids.index(stop) + 1]
    assert (completion["finish_reason"], completion["stop_reason"]) == ("stop", stop)
    assert call(*given, "--stop-token", "two") == 2
    assert "stop_token: 'two' is 3 tokens" in capsys.readouterr().err


def test_a_stop_string_ends_the_text_before_it(tiny_opt: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Streamed or not, the first of several."""
    given = ["generate", "--model", tiny_opt, *SAMPLED, "--prompt", "Once"]
    assert call(*given, "--json") == 0
    text = str(document_of(capsys)["completions"][0]["text"])
    stops = ["--stop", text[9], "--stop", text[4:6]]
    assert call(*given, *stops) == 0
    out = capsys.readouterr().out
    assert call(*given, *stops, "--json") == 0
    completion = document_of(capsys)["completions"][0]
    assert out == f"{completion['text']}\n" == f"{cut(text, stops[1::2])[0]}\n"
    assert completion["finish_reason"] == "stop" and completion["stop_reason"] in stops[1::2]


# An iteration that never ends, in which Ctrl-C comes.
STUCK = """
import os, signal, threading
from aptsched.__main__ import main
from engine.runner.torch_executor import TorchExecutor

def run(self, batch):
    os.kill(os.getpid(), signal.SIGINT)
    threading.Event().wait()

signal.signal(signal.SIGINT, signal.default_int_handler)
TorchExecutor.run = run
main()
"""


@pytest.mark.parametrize("prompts", [["--prompt", "One"], ["--prompt", "One", "--prompt", "Two"]])
def test_ctrl_c_does_not_wait_for_the_iteration(tiny_opt: str, prompts: list[str]) -> None:
    """Of one prompt or several: one line, and the process is over."""
    command = [sys.executable, "-c", STUCK, "generate", "--model", tiny_opt, *SAMPLED, *prompts]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--prompt", ""], ["prompt", "empty"]),
        (["--prompt", "x" * 300], ["prompt", "300", "1 to 255"]),
        (["--prompt", "Hi", "--max-tokens", "0"], ["max_tokens", "0"]),
        (["--prompt", "Hi", "--temperature", "-1"], ["temperature", "-1"]),
        (["--prompt", "Hi", "--top-p", "0"], ["top_p", "0"]),
        (["--prompt", "Hi", "--top-k", "-1"], ["top_k", "-1"]),
        (["--prompt", "Hi", "--seed", "-1"], ["seed", "-1"]),
        (["--prompt", "Hi", "--stop", ""], ["stop", "''", "1 to 256 characters"]),
        (["--prompt", "Hi", "--chat"], ["chat_template", "none"]),
        (["--prompt", "Hi", "--cache-mem", "some"], ["cache_mem", "'some'"]),
        (["--prompt", "Hi", "--threads", "0"], ["threads", "0"]),
        (["--prompt", "Hi", "--dtype", "fp64"], ["dtype", "'fp64'"]),
        (["--prompt", "Hi", "--model", "missing"], ["model", "'missing'"]),
    ],
)
def test_bad_input_is_one_line(
    tiny_opt: str, capsys: pytest.CaptureFixture[str], arguments: list[str], parts: list[str]
) -> None:
    """Field, value and what is accepted; nothing is printed before."""
    assert call("generate", "--model", tiny_opt, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1
    assert all(part in err for part in parts), err


def test_a_model_without_a_tokenizer_has_no_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what is accepted."""
    bare = save_model(tmp_path / "bare", OPT, tokenizer=False)
    assert call("generate", "--model", bare, "--prompt", "Hi") == 2
    assert "has no tokenizer; one with a tokenizer.json" in capsys.readouterr().err


def test_without_torch_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Running models is an extra."""
    monkeypatch.setattr("aptsched.cli.model_options.find_spec", lambda name: None)
    for command in (["generate", "--prompt", "Hi"], ["run"], ["calibrate"]):
        assert call(*command) == 2
        assert "pip install 'aptsched[engine]'" in capsys.readouterr().err


@pytest.mark.slow
def test_smollm2_answers(capsys: pytest.CaptureFixture[str]) -> None:
    """With words, and it ends by itself."""
    assert call("generate", "--prompt", "What is the capital of France? Answer in one word.", "--json") == 0
    (completion,) = document_of(capsys)["completions"]
    assert "Paris" in str(completion["text"])
    assert len(completion["token_ids"]) < 128  # type: ignore[arg-type]
