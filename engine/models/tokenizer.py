"""Text to tokens and back, a whole text at once or token by token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from aptsched.support.errors import InputError
from engine.models.templates import ChatTemplate, chosen
from engine.models.text import check_unicode
from engine.models.text_stream import TextStream, stream_of

if TYPE_CHECKING:
    import tokenizers

SHOWN = 200  # characters of an error of the tokenizers package


class Backend(Protocol):
    """Encodes and decodes texts; without messages and templates."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """Tokens of a text, with those that the model's tokenizer puts before and after it, or without."""
        ...

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text, without special tokens; U+FFFD for bytes that are not UTF-8."""
        ...

    def stream(self) -> TextStream:
        """A text that comes token by token."""
        ...


@dataclass(frozen=True, eq=False)
class FastBackend:
    """A tokenizer of the tokenizers package."""

    tokenizer: tokenizers.Tokenizer

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """Tokens of a text."""
        with guarded("prompt: the tokenizer cannot make tokens of it"):
            return list(self.tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text."""
        with guarded("tokens: the tokenizer cannot make a text of them"):
            return str(self.tokenizer.decode(list(token_ids), skip_special_tokens=True))

    def stream(self) -> TextStream:
        """A text that comes token by token."""
        return stream_of(self.tokenizer, self.decode)


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A tokenizer of a model.

    Parameters
    ----------
    backend : Backend
    chat_template : str, mapping of str to str, or None
        Jinja2 templates, as Hugging Face writes them; of several by name "default" is used.
    special_tokens : mapping of str to str
        Texts of tokens that the template may use: bos_token, eos_token.
    notices : tuple of str
        A line for each thing that its files say and that is not done.
    """

    backend: Backend
    chat_template: ChatTemplate | None = None
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Tokens of a text, with the begin-of-text token where the model's tokenizer adds one.

        Raises
        ------
        InputError
            The text is not Unicode, or has something that the tokenizer has no token for.
        """
        check_unicode("prompt", text)
        return self.backend.encode(text, add_special_tokens)

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text, without special tokens; U+FFFD for bytes that are not UTF-8."""
        return self.backend.decode(token_ids)

    def stream(self) -> TextStream:
        """A text that comes token by token: its pieces, joined, are what `decode` makes of all tokens."""
        return self.backend.stream()

    def chat_prompt(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """The prompt for the model's answer to messages, each with `role` and `content`.

        It has all special tokens: encode it with add_special_tokens=False.

        Raises
        ------
        InputError
            The model has no chat template, or its template refuses the messages, fails or does not end.
        """
        from engine.models.chat_template import render

        return render(chosen(self.chat_template), messages, self.special_tokens)


def surround(backend: tokenizers.Tokenizer, before: Sequence[str], after: Sequence[str]) -> None:
    """Have the tokenizer put tokens before and after each text."""
    from tokenizers.processors import TemplateProcessing

    known = [(token, backend.token_to_id(token)) for token in dict.fromkeys((*before, *after))]
    backend.post_processor = TemplateProcessing(single=[*before, "$A", *after], special_tokens=known)


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Turn errors of the tokenizers package, which have no class of their own, into InputError."""
    try:
        yield
    except InputError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise InputError(f"{what} ({' '.join(str(error).split())[:SHOWN]})") from error
