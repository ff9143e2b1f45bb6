"""Texts that come token by token: their pieces, joined, are what all tokens decode to."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from byte_level import BYTE_OF, PLAIN, SPECIAL, TOKENS, built
from decoder_kinds import PARTS, SEQUENCES, TOKENIZERS, WORDS
from engine.models.text_stream import ByteStream, PieceStream, WholeStream
from engine.models.tokenizer import Tokenizer

SMALL = built()


def pieces(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    """What a stream returns for each token, and at the end."""
    stream = tokenizer.stream()
    return [*(stream.push(i) for i in ids), stream.finish()]


@given(SEQUENCES)
@example([[PARTS[0], *(1 + byte for byte in "🙂".encode())]])
@example([[WORDS.index("▁a")], [PARTS[0], PARTS[7]], [WORDS.index("<s>")], [PARTS[8], WORDS.index("a")]])
def test_a_stream_is_the_text(runs: list[list[int]]) -> None:
    """Whatever the decoder and the tokens: bytes, spaces, words, special and unknown ones, broken characters."""
    ids = list(chain.from_iterable(runs))
    for name, tokenizer in TOKENIZERS.items():
        assert "".join(pieces(tokenizer, ids)) == tokenizer.decode(ids), name


def test_a_space_byte_before_a_character_of_four_bytes() -> None:
    """The character is whole, though the decoder leaves out the space before it."""
    ids = [WORDS.index(f"<0x{byte:02X}>") for byte in b" \xf0\x9f\x99\x82"]
    assert "".join(pieces(TOKENIZERS["llama 2"], ids)) == TOKENIZERS["llama 2"].decode(ids) == "🙂"


def test_words_come_as_their_tokens_do() -> None:
    """Each at once, and a run of bytes with what ends it."""
    ids = [WORDS.index("▁a"), WORDS.index("▁a"), *(1 + byte for byte in "é€".encode()), WORDS.index("▁a")]
    assert pieces(TOKENIZERS["llama 2"], ids) == ["a", " a", *[""] * 5, "é€ a", ""]
    assert pieces(TOKENIZERS["sentencepiece"], ids) == ["a", " a", "", "é", "", "", "€", " a", ""]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("byte-level", ByteStream), ("llama 2", PieceStream), ("metaspace", PieceStream), ("ctc", WholeStream)],
)
def test_a_decoder_that_later_tokens_change_waits(name: str, kind: type) -> None:
    """The usual decoders give their text as it comes, one that looks back gives it at the end."""
    assert isinstance(TOKENIZERS[name].stream(), kind)


TOKEN = st.integers(0, len(TOKENS) - 1)
BROKEN = st.sampled_from([TOKENS.index(c) for c, b in BYTE_OF.items() if b in b"\xe2\x82\xac\xf0\x9f\x80\xed\xa0"])


@given(
    st.lists(
        st.one_of(TOKEN.map(lambda i: [i]), st.text().map(SMALL.encode), st.lists(BROKEN, max_size=60)), max_size=6
    )
)
def test_a_stream_of_bytes_is_the_text(runs: list[list[int]]) -> None:
    """Of byte-level tokens, merged ones and bytes that are not UTF-8 among them."""
    ids = list(chain.from_iterable(runs))
    assert "".join(pieces(SMALL, ids)) == SMALL.decode(ids)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\ufffd"), max_size=60))
def test_a_stream_holds_back_no_whole_character(text: str) -> None:
    """As soon as the last byte of a character is there, so is the character; before that, nothing of it."""
    stream, given_bytes, returned = SMALL.stream(), b"", ""
    for token_id in built(token_type=PLAIN).encode(text):
        given_bytes += bytes(BYTE_OF[c] for c in TOKENS[token_id]) if token_id >= len(SPECIAL) else b""
        returned += stream.push(token_id)
        assert returned == given_bytes.decode(errors="ignore")


def test_a_stream_decodes_few_tokens_for_each() -> None:
    """Three at most, however long the text is: what a token costs does not grow."""
    decoded: list[int] = []

    def decode(contents: list[str]) -> str:
        decoded.append(len(contents))
        return "".join(contents)

    stream = PieceStream(lambda token_id: WORDS[token_id], decode)
    for _ in range(300):
        stream.push(WORDS.index("▁a"))
        stream.push(PARTS[1])
    assert max(decoded) <= 3
    assert len(decoded) <= 600
