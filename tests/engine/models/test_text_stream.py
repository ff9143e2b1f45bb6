"""Texts that come token by token: their pieces, joined, are what all tokens decode to."""

from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models
from tokenizers import Tokenizer as Backend

from byte_level import BYTE_OF, PLAIN, SPECIAL, TOKENS, built
from engine.models.gguf_tokenizer import tokenizer_of
from engine.models.text_stream import ByteStream, PieceStream, WholeStream
from engine.models.tokenizer import FastBackend, Tokenizer

SMALL = built()
BYTES = [f"<0x{i:02X}>" for i in range(256)]
# Tokens of Llama 2's kind: unknown, bytes, spaces, words; what looks like a byte or holds one; one in no alphabet.
WORDS = ["<unk>", *BYTES, "▁", "a", "▁a", "▁▁", "", "##b", "é", "<0x+F>", "▁<0x41>", "<0x4>", "<s>", "🙂"]
LLAMA2 = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
DECODERS = {
    "none": None,
    "byte-level": decoders.ByteLevel(),
    "byte-level alone in a sequence": decoders.Sequence([decoders.ByteLevel()]),
    "llama 2": decoders.Sequence([*LLAMA2, decoders.Strip(" ", 1, 0)]),
    "many spaces stripped": decoders.Sequence([*LLAMA2, decoders.Strip(" ", 3, 0)]),
    "nothing stripped": decoders.Sequence(LLAMA2),
    "not fused": decoders.Sequence(LLAMA2[:2]),
    "bytes alone": decoders.ByteFallback(),
    "spaces left out": decoders.Sequence([decoders.Replace("▁", ""), *LLAMA2[1:]]),
    "replaced after all": decoders.Sequence([*LLAMA2, decoders.Replace("a a", "b")]),
    "metaspace": decoders.Metaspace(),
    "metaspace, no prefix": decoders.Metaspace(prepend_scheme="never"),
    "wordpiece": decoders.WordPiece(),
    "bpe": decoders.BPEDecoder("a"),
    "ctc": decoders.CTC("▁", "a"),
}


def with_decoder(decoder: decoders.Decoder | None) -> Tokenizer:
    """A tokenizer that decodes so; "<s>" is special, the letter in no alphabet is added."""
    backend = Backend(models.BPE({word: i for i, word in enumerate(WORDS)}, [], byte_fallback=True))
    if decoder is not None:
        backend.decoder = decoder
    backend.add_special_tokens([AddedToken("<s>", special=True)])
    backend.add_tokens(["🙂"])
    return Tokenizer(FastBackend(backend))


def spm(adds_space: bool) -> Tokenizer:
    """The same words as a GGUF file has them."""
    types = [2, *[6] * 256, 1, 1, 1, 4, 1, 1, 5, 1, 1, 1, 3, 1]
    metadata = {"model": "llama", "tokens": WORDS, "token_type": types, "add_space_prefix": adds_space}
    made = tokenizer_of({f"tokenizer.ggml.{key}": value for key, value in metadata.items()})
    assert made is not None
    return made


TOKENIZERS = {name: with_decoder(decoder) for name, decoder in DECODERS.items()}
TOKENIZERS |= {"sentencepiece": spm(True), "sentencepiece, no space": spm(False)}
# Beginnings, middles and ends of characters of one to four bytes, a surrogate's, and a byte of none.
PARTS = [WORDS.index(f"<0x{byte:02X}>") for byte in b"\x20\x41\xc3\xa9\xe2\x82\xac\xf0\x9f\x99\x82\xed\xa0\xf4\xff"]
CHARACTERS = st.text("é€🙂 A", max_size=4).map(lambda text: [1 + byte for byte in text.encode()])
OTHERS = st.integers(257, len(WORDS)).map(lambda i: [i])  # the last one has no token
SEQUENCES = st.lists(st.one_of(st.sampled_from(PARTS).map(lambda i: [i]), CHARACTERS, OTHERS), max_size=12)


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
