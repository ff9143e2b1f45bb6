"""Decodes tokens one by one: the pieces of text, joined, equal the text of all tokens decoded together."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import tokenizers

BYTE_TOKEN = re.compile(r"<0x[+0-9A-Fa-f]{2}>")  # token that a decoder with byte fallback may read as a byte
MARK = "\0"  # stands for the text before a piece


class TextStream(Protocol):
    """Decodes tokens one by one: all that `push` and at last `finish` return, joined, is the text of all tokens."""

    def push(self, token_id: int) -> str:
        """The text that this token completes, which may be empty."""
        ...

    def finish(self) -> str:
        """The rest of the text: U+FFFD for bytes that never became a character."""
        ...


class ByteStream:
    """Tokens are bytes: a character is returned once all its bytes are there.

    Parameters
    ----------
    bytes_of : callable
        The bytes of a token.
    """

    def __init__(self, bytes_of: Callable[[int], bytes]) -> None:
        self._bytes_of = bytes_of
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """The characters that this token ends."""
        return self._decoder.decode(self._bytes_of(token_id))

    def finish(self) -> str:
        """U+FFFD for bytes that never became a character."""
        return self._decoder.decode(b"", final=True)


class PieceStream:
    """Tokens are pieces of text, and a run of byte tokens is one piece, returned when it has ended.

    It has to wait for the end, because one byte that is not UTF-8 turns all bytes of its run into U+FFFD.

    Parameters
    ----------
    token_of : callable
        From a token to its content; None for a token that is no part of the text.
    decode : callable
        From a list of contents to their text.
    """

    def __init__(self, token_of: Callable[[int], str | None], decode: Callable[[list[str]], str]) -> None:
        self._token_of, self._decode = token_of, decode
        self._held: list[str] = []
        self._begun = False  # whether text was returned, so that the decoder's steps for the beginning are done

    def push(self, token_id: int) -> str:
        """The text of this token and of the byte tokens before it; nothing for a byte token."""
        token = self._token_of(token_id)
        if token is None:
            return ""
        self._held.append(token)
        return "" if BYTE_TOKEN.fullmatch(token) else self.finish()

    def finish(self) -> str:
        """The text of the byte tokens that are left."""
        text = self._decode([MARK, *self._held])[len(MARK) :] if self._begun else self._decode(self._held)
        if self._begun or text:
            self._begun, self._held = True, []
        return text


class WholeStream:
    """Returns the whole text at the end, for decoders in which a later token may change earlier text."""

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode, self._token_ids = decode, list[int]()

    def push(self, token_id: int) -> str:
        """Keep the token; no text is returned before the end."""
        self._token_ids.append(token_id)
        return ""

    def finish(self) -> str:
        """The text."""
        return self._decode(self._token_ids)


def stream_of(backend: tokenizers.Tokenizer, decode_all: Callable[[list[int]], str]) -> TextStream:
    """The stream that fits a tokenizer's decoder; `decode_all` decodes all tokens at once.

    Byte-level decoders, decoders with byte fallback, Metaspace, WordPiece and no decoder give text as it comes; any
    other gives it at the end.
    """
    special = {token.content for token in backend.get_added_tokens_decoder().values() if token.special}

    def token_of(token_id: int) -> str | None:
        token = backend.id_to_token(token_id)
        return None if token in special else token

    decoder = backend.decoder
    steps = [] if decoder is None else _steps(json.loads(decoder.__getstate__()))
    if [step["type"] for step in steps] == ["ByteLevel"]:
        return ByteStream(lambda token_id: byte_level(token_of(token_id) or ""))
    decode = " ".join if decoder is None else decoder.decode
    if _by_pieces(steps) and decode([MARK]) == MARK:
        return PieceStream(token_of, decode)
    return WholeStream(decode_all)


def _steps(state: dict[str, Any]) -> list[dict[str, Any]]:
    return list(state["decoders"]) if state["type"] == "Sequence" else [state]


def _by_pieces(steps: list[dict[str, Any]]) -> bool:
    """Whether the text of several pieces is the texts of the pieces joined, apart from steps at the beginning.

    In a sequence of steps that holds for these, in this order: replacing something by spaces, byte fallback, fusing all
    pieces, stripping a number of characters from the left.
    """
    types = [step["type"] for step in steps]
    if types in ([], ["Metaspace"], ["WordPiece"]):
        return True
    order = re.fullmatch(r"(Replace )*(ByteFallback )?(Fuse (Strip )?)?", "".join(f"{kind} " for kind in types))
    spaces = all(step["content"] == " " for step in steps if step["type"] == "Replace")
    return bool(order) and spaces and all(step["stop"] == 0 for step in steps if step["type"] == "Strip")


def _alphabet() -> dict[str, int]:
    """From character to byte, in GPT-2's alphabet for byte-level tokenizers: printable bytes stand for themselves."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = (byte for byte in range(256) if byte not in printable)
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


BYTE_OF = _alphabet()


def byte_level(token: str) -> bytes:
    """The bytes of a token: those that its characters stand for or, if one stands for none, its text in UTF-8."""
    if all(character in BYTE_OF for character in token):
        return bytes(BYTE_OF[character] for character in token)
    return token.encode()
