"""Prompts and texts of any bytes, on terminals of any encoding, and models whose logits are not finite."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from aptsched.cli import prompts
from aptsched.support.errors import InputError
from commands import call
from tiny_model import LLAMA, save_model

if TYPE_CHECKING:
    from typing_extensions import Buffer

OPTIONS = ["--max-tokens", "4", "--threads", "1", "--cache-mem", "1MiB"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_model(tmp_path_factory.mktemp("models") / "llama", LLAMA)


class Bytes(io.RawIOBase):
    """A stdin without an end."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        view[:] = b"a" * len(view)
        return len(view)


def stdin(data: bytes) -> io.TextIOWrapper:
    """As Python opens it in a locale that has no UTF-8."""
    return io.TextIOWrapper(io.BytesIO(data), encoding="ascii")


@given(st.binary(max_size=20))
def test_a_prompt_is_its_utf8_text_or_one_message(data: bytes) -> None:
    """As an argument, whose bytes Python has made into lone surrogates, and on stdin."""
    argument = data.decode("utf-8", "surrogateescape")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", stdin(data))
        try:
            text = data.decode()
        except UnicodeDecodeError:
            for given_text in (argument, "-"):
                with pytest.raises(InputError, match=r"prompt: .* not UTF-8; UTF-8 text is accepted"):
                    prompts.texts([given_text])
        else:
            assert prompts.texts(["-", "b"]) == [text, "b"]
            if text != "-":
                assert prompts.texts([argument]) == [text]


def test_stdin_may_be_closed_or_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """One message."""
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="prompt: - is not accepted where stdin is closed"):
        prompts.texts(["-"])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Bytes())))
    with pytest.raises(InputError, match="prompt: more than 16777216 bytes on stdin"):
        prompts.texts(["-"])


@pytest.mark.parametrize("prompt", [b"caf\xc3", b"\xff\xfe", "caf\u00e9".encode("latin-1")])
def test_bytes_that_are_no_text_end_with_2(model: str, prompt: bytes) -> None:
    """In a process of its own, as an argument and on stdin."""
    command = [sys.executable, "-m", "aptsched", "generate", "--model", model, *OPTIONS]
    as_text = os.fsdecode(prompt)
    for arguments in (["--prompt", as_text], ["--prompt", "-"]):
        done = subprocess.run([*command, *arguments], input=prompt, capture_output=True)
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
        assert done.stderr.startswith(b"error: prompt: ") and b"UTF-8" in done.stderr


@pytest.mark.parametrize("several", [False, True])
def test_a_terminal_without_the_letters_gets_replacements(model: str, several: bool) -> None:
    """Exit code 0: random bytes of text on a stdout that has ASCII alone."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    more = ["--prompt", "\u00e9t\u00e9"] if several else []
    command = [sys.executable, "-m", "aptsched", "generate", "--model", model, *OPTIONS, "--temperature", "3"]
    command += ["--max-tokens", "32", "--prompt", "hello world", *more]
    done = subprocess.run(command, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii() and b"?" in done.stdout


def scaled(directory: Path, model: str, factor: float, dtype: torch.dtype) -> str:
    """The model with all matrices multiplied; the norms as they are."""
    tensors = load_file(Path(model) / "model.safetensors")
    directory.mkdir()
    for file in Path(model).iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    grown = {name: (tensor * factor if tensor.ndim == 2 else tensor).to(dtype) for name, tensor in tensors.items()}
    save_file(grown, directory / "model.safetensors")
    return str(directory)


@pytest.mark.parametrize("sampling", [[], ["--temperature", "0.8"]])
@pytest.mark.parametrize("more", [[], ["--json"], ["--prompt", "other"]])
def test_a_model_that_leaves_the_range_of_fp16_is_one_message(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], sampling: list[str], more: list[str]
) -> None:
    """Which names the dtype; in fp32 it has tokens."""
    large = scaled(tmp_path / "large", model, 3000.0, torch.bfloat16)
    command = ["generate", "--model", large, *OPTIONS, "--prompt", "Hi", *sampling, *more]
    assert call(*command, "--dtype", "fp16") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: logits: not finite for") and "in fp16;" in err and err.count("\n") == 1
    assert call(*command, "--dtype", "fp32") == 0


def test_one_weight_that_is_nan_is_one_message(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In every dtype, and no tokens."""
    directory = scaled(tmp_path / "nan", model, math.nan, torch.float32)
    for dtype in ("fp32", "bf16", "fp16"):
        assert call("generate", "--model", directory, *OPTIONS, "--prompt", "Hi", "--dtype", dtype) == 2
        assert f"logits: not finite for 1 of 1 requests in {dtype}" in capsys.readouterr().err


def test_a_temperature_near_0_gives_the_likeliest_tokens(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    """1e-308 and less, which nothing can be divided by without leaving the range of floats."""
    found = []
    for temperature in ("0", "1e-308", "5e-324", "1e-307"):
        arguments = ["--prompt", "hello", "--temperature", temperature, "--json"]
        assert call("generate", "--model", model, *OPTIONS, *arguments) == 0
        found.append(json.loads(capsys.readouterr().out)["completions"][0]["token_ids"])
    assert all(token_ids == found[0] for token_ids in found)
