"""SentencePiece's BPE by scores, as in llama.cpp for GGUF files: merges pairs that make a token, best score first."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from aptsched.support.errors import InputError
from engine.models.gguf_special_tokens import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED
from engine.models.text_stream import ByteStream

SPACE = "▁"  # stands for a space in tokens


@dataclass(frozen=True, eq=False)
class SpmBackend:
    """A vocabulary with scores.

    Parameters
    ----------
    tokens : sequence of str
    scores : sequence of float
    types : sequence of int
        Token types of GGUF: which tokens are bytes, control tokens or user-defined.
    adds_space : bool
        Whether a space is put before a text, and before text that follows a special token. When decoding, the first
        one is left out.
    before, after : tuple of int
        Tokens put before and after a text.
    """

    tokens: Sequence[str]
    scores: Sequence[float]
    types: Sequence[int]
    adds_space: bool = True
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    _ids: dict[str, int] = field(init=False)
    _matched: tuple[tuple[str, int], ...] = field(init=False)  # special tokens, the longest first

    def __post_init__(self) -> None:
        matched = [i for i, kind in enumerate(self.types) if kind in (CONTROL, UNKNOWN, USER_DEFINED)]
        longest_first = sorted(matched, key=lambda i: -len(self.tokens[i].encode()))
        object.__setattr__(self, "_ids", {token: i for i, token in enumerate(self.tokens)})
        object.__setattr__(self, "_matched", tuple((self.tokens[i], i) for i in longest_first))

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        """Tokens of a text."""
        ids = list(self.before if add_special_tokens else ())
        after_special = True
        for part in self._parts(text):
            if isinstance(part, int):
                ids.append(part)
            else:
                spaced = f" {part}" if self.adds_space and after_special else part
                ids += self._merged(spaced.replace(" ", SPACE))
            after_special = isinstance(part, int)
        return ids + list(self.after if add_special_tokens else ())

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text; U+FFFD for bytes that are not UTF-8."""
        stream = self.stream()
        return "".join(map(stream.push, token_ids)) + stream.finish()

    def stream(self) -> ByteStream:
        """A text that comes token by token."""
        return ByteStream(_Bytes(self))

    def bytes_of(self, token_id: int) -> bytes:
        """The bytes of a token; empty for a token that is no text."""
        if not 0 <= token_id < len(self.tokens):
            return b""
        token, kind = self.tokens[token_id], self.types[token_id]
        if kind == BYTE:
            return bytes([int(token[3:5], 16)])
        if kind == NORMAL:
            return token.replace(SPACE, " ").encode()
        return token.encode() if kind == USER_DEFINED else b""

    def _parts(self, text: str) -> list[str | int]:
        """The text divided into special tokens, the longest matched first, and the texts between them."""
        parts: list[str | int] = [text] if text else []
        for token, token_id in self._matched:
            if token in text:
                parts = [piece for part in parts for piece in _split(part, token, token_id)]
        return parts

    def _merged(self, text: str) -> Iterator[int]:
        symbols = list(text)
        self._merge(symbols)
        for symbol in filter(None, symbols):
            token_id = self._ids.get(symbol)
            if token_id is not None:
                yield token_id
            else:
                yield from (self._byte(byte, symbol) for byte in symbol.encode())

    def _merge(self, symbols: list[str]) -> None:
        """Merge neighbours that make a token, best score first, of equal scores the leftmost first.

        A symbol that was merged into the one before it is left empty.
        """
        last = len(symbols)
        previous, following = list(range(-1, last - 1)), list(range(1, last + 1))
        queue: list[tuple[float, int, int, str]] = []

        def consider(left: int, right: int) -> None:
            if left >= 0 and right < last:
                token_id = self._ids.get(merged := symbols[left] + symbols[right])
                if token_id is not None:
                    heapq.heappush(queue, (-self.scores[token_id], left, right, merged))

        for right in range(1, last):
            consider(right - 1, right)
        while queue:
            _, left, right, merged = heapq.heappop(queue)
            if not symbols[left] or not symbols[right] or len(symbols[left]) + len(symbols[right]) != len(merged):
                continue
            symbols[left], symbols[right] = merged, ""
            following[left] = following[right]
            if following[right] < last:
                previous[following[right]] = left
            consider(previous[left], left)
            consider(left, following[left])

    def _byte(self, byte: int, symbol: str) -> int:
        token_id = self._ids.get(f"<0x{byte:02X}>")
        if token_id is None:
            raise InputError(f"prompt: {symbol!r} is not accepted: it has no token, and no token of its bytes")
        return token_id


class _Bytes:
    """The bytes of one text's tokens in turn; the space that encoding puts before the text is left out."""

    def __init__(self, backend: SpmBackend) -> None:
        self._backend, self._at_start = backend, backend.adds_space

    def __call__(self, token_id: int) -> bytes:
        found = self._backend.bytes_of(token_id)
        if self._at_start and found:
            self._at_start = False
            return found.removeprefix(b" ")
        return found


def _split(part: str | int, token: str, token_id: int) -> Iterator[str | int]:
    """Split a text around each occurrence of a special token."""
    if isinstance(part, int):
        yield part
        return
    first, *others = part.split(token)
    for i, piece in enumerate((first, *others)):
        if i:
            yield token_id
        if piece:
            yield piece
