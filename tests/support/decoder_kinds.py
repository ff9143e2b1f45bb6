"""Tokenizers of every kind of decoder, over one small vocabulary; sequences of tokens that decoders may trip over."""

from __future__ import annotations

from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models
from tokenizers import Tokenizer as Backend

from engine.models.gguf_tokenizer import tokenizer_of
from engine.models.tokenizer import FastBackend, Tokenizer

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
