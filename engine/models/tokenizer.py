"""Text to tokens and back, a whole text at once or token by token."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aptsched.errors import InputError
from engine.models.json_object import read_json

if TYPE_CHECKING:
    import tokenizers

REPLACEMENT = "\ufffd"  # what a decoder writes for bytes that are not UTF-8
MAX_HELD = 3  # bytes of a character that may still become one
MAX_WINDOW = 16  # tokens decoded together while their bytes are not UTF-8


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A tokenizer of a model.

    Parameters
    ----------
    backend : tokenizers.Tokenizer
    chat_template : str or None
        Jinja2, as Hugging Face writes them.
    special_tokens : mapping of str to str
        What the template may use: bos_token, eos_token.
    """

    backend: tokenizers.Tokenizer
    chat_template: str | None = None
    special_tokens: Mapping[str, str] = field(default_factory=dict)

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Tokens of a text, with the begin-of-text token where the model's tokenizer adds one."""
        return list(self.backend.encode(text, add_special_tokens=add_special_tokens).ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text, without special tokens; U+FFFD for bytes that are not UTF-8."""
        return str(self.backend.decode(list(token_ids), skip_special_tokens=True))

    def stream(self) -> Stream:
        """A text that comes token by token."""
        special = {i for i, token in self.backend.get_added_tokens_decoder().items() if token.special}
        return Stream(self, frozenset(special))

    def chat_prompt(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The prompt for the model's answer to messages, each with `role` and `content`.

        It has all special tokens: encode it with add_special_tokens=False.

        Raises
        ------
        InputError
            The model has no chat template, or its template refuses the messages.
        """
        if self.chat_template is None:
            raise InputError("chat_template: the model has none; a plain prompt is accepted")
        import jinja2
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        try:
            template = environment.from_string(self.chat_template, globals={"raise_exception": _refuse})
            return template.render(messages=messages, add_generation_prompt=True, **self.special_tokens)
        except (jinja2.TemplateError, TypeError) as error:
            raise InputError(f"chat_template: it cannot be used with these messages ({error})") from error


class Stream:
    """A text that comes token by token: what `push` returns, joined, and then `finish`, is `decode` of all tokens.

    A character is returned once all its bytes are there. Each token costs a constant number of short decodes.

    Byte-level tokenizers keep that promise for all tokens, those with byte fallback for all that are valid UTF-8.
    """

    def __init__(self, tokenizer: Tokenizer, special: frozenset[int]) -> None:
        self._tokenizer, self._special = tokenizer, special
        self._window: list[int] = []  # the last tokens: those of the last whole characters, and those after them
        self._num_whole = 0  # tokens of the window that end with a whole character
        self._returned = ""  # what of the window's text is returned

    def push(self, token_id: int) -> str:
        """The text that this token completes, which may be empty."""
        if token_id in self._special:
            return ""
        self._window.append(token_id)
        text = self._tokenizer.decode(self._window)
        num_bad = len(text) - len(text.rstrip(REPLACEMENT))
        if num_bad == 0:
            new = text[len(self._returned) :]
            self._restart(self._num_whole)
            return new
        # With byte fallback, bytes that are no character yet take the whole ones before them along.
        stop = max(len(self._returned), len(text) - min(num_bad, MAX_HELD)) if text.startswith(self._returned) else 0
        new = text[len(self._returned) : stop]
        self._returned += new
        if len(self._window) > MAX_WINDOW:
            self._shorten(text)
        return new

    def finish(self) -> str:
        """What is left: bytes that never became a character, as U+FFFD."""
        new = self._tokenizer.decode(self._window)[len(self._returned) :]
        self._window, self._num_whole, self._returned = [], 0, ""
        return new

    def _restart(self, first: int) -> None:
        """Keep the tokens from `first` on as what comes before; their text is returned."""
        self._window = self._window[first:]
        self._num_whole = len(self._window)
        self._returned = self._tokenizer.decode(self._window)

    def _shorten(self, text: str) -> None:
        """Drop tokens whose text nothing that follows can change: decoded apart, the two halves give the same."""
        middle = len(self._window) // 2
        for cut in range(middle, middle + MAX_HELD + 1):
            before = self._tokenizer.decode(self._window[:cut])
            if self._returned.startswith(before) and before + self._tokenizer.decode(self._window[cut:]) == text:
                self._window, self._num_whole = self._window[cut:], max(0, self._num_whole - cut)
                self._returned = self._returned[len(before) :]
                return
        self._window, self._num_whole, self._returned = self._window[self._num_whole :], 0, ""


def from_directory(directory: str | os.PathLike[str]) -> Tokenizer | None:
    """The tokenizer of a Hugging Face directory: tokenizer.json, and the chat template; None where there is none."""
    path = Path(directory) / "tokenizer.json"
    if not path.exists():
        return None
    import tokenizers

    try:
        backend = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises no narrower one
        raise InputError(f"{path}: not a tokenizer that the tokenizers package reads ({error})") from error
    backend.no_truncation()
    backend.no_padding()
    settings_path = Path(directory) / "tokenizer_config.json"
    settings = read_json(settings_path) if settings_path.exists() else {}
    return Tokenizer(backend, _chat_template(Path(directory), settings), _special_tokens(settings))


def _chat_template(directory: Path, settings: Mapping[str, Any]) -> str | None:
    from aptsched.files import read_text

    path = directory / "chat_template.jinja"
    template = read_text(path) if path.exists() else settings.get("chat_template")
    return template if isinstance(template, str) else None


def _special_tokens(settings: Mapping[str, Any]) -> dict[str, str]:
    tokens = {name: settings.get(name) for name in ("bos_token", "eos_token")}
    named = {name: token.get("content") if isinstance(token, dict) else token for name, token in tokens.items()}
    return {name: token for name, token in named.items() if isinstance(token, str)}


def _refuse(message: str) -> str:
    raise InputError(f"chat_template: {message}")
