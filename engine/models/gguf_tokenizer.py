"""The byte-level BPE tokenizer in the metadata of a GGUF file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aptsched.errors import InputError
from engine.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    import tokenizers

PREFIX = "tokenizer.ggml."
CONTROL, USER_DEFINED = 3, 4  # token types that are matched as a whole, before any splitting
PRE_TOKENIZERS = ("smollm", "gpt-2", "llama-bpe")
# How Llama 3 splits a text: contractions, words, up to three digits, punctuation, line ends, spaces.
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tokenizer_of(metadata: Mapping[str, Any]) -> Tokenizer | None:
    """The tokenizer, equal to the Hugging Face one that the file was made from; None where the file has none.

    Raises
    ------
    InputError
        A model other than GPT-2's byte-level BPE, a way of splitting that is not known, or lists that do not match.
    """
    model = metadata.get(f"{PREFIX}model")
    if model is None:
        return None
    if model != "gpt2":
        raise InputError(f"{PREFIX}model: {model!r} is not supported; 'gpt2' (byte-level BPE) is")
    pre = metadata.get(f"{PREFIX}pre")
    if pre not in PRE_TOKENIZERS:
        raise InputError(f"{PREFIX}pre: {pre!r} is not supported; {', '.join(PRE_TOKENIZERS)} are")
    tokens = _strings(metadata, "tokens")
    backend = _bpe(tokens, _strings(metadata, "merges"), pre)
    _add_special(backend, tokens, metadata)
    names = {"bos_token": "bos_token_id", "eos_token": "eos_token_id"}
    special = {name: _token(tokens, metadata, key) for name, key in names.items() if PREFIX + key in metadata}
    if metadata.get(f"{PREFIX}add_bos_token", pre == "llama-bpe") and "bos_token" in special:
        _prepend(backend, special["bos_token"])
    template = metadata.get("tokenizer.chat_template")
    return Tokenizer(backend, template if isinstance(template, str) else None, special)


def _bpe(tokens: list[str], merges: list[str], pre: str) -> tokenizers.Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    try:
        model = models.BPE({token: i for i, token in enumerate(tokens)}, pairs, ignore_merges=pre == "llama-bpe")
    except Exception as error:  # the package raises no narrower one
        raise InputError(f"{PREFIX}merges: not merges of {PREFIX}tokens ({error})") from error
    backend = Tokenizer(model)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre != "llama-bpe")
    if pre == "smollm":
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    elif pre == "llama-bpe":
        split = pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    else:
        backend.pre_tokenizer = byte_level
    backend.decoder = decoders.ByteLevel()
    return backend


def _add_special(backend: tokenizers.Tokenizer, tokens: list[str], metadata: Mapping[str, Any]) -> None:
    from tokenizers import AddedToken

    kinds = metadata.get(f"{PREFIX}token_type", [])
    if len(kinds) not in (0, len(tokens)):
        raise InputError(f"{PREFIX}token_type: {len(kinds)} are not accepted; one for each of {len(tokens)} tokens is")
    added = [(token, kind) for token, kind in zip(tokens, kinds, strict=False) if kind in (CONTROL, USER_DEFINED)]
    backend.add_special_tokens([AddedToken(t, special=True, normalized=False) for t, kind in added if kind == CONTROL])
    backend.add_tokens([AddedToken(t, normalized=False) for t, kind in added if kind == USER_DEFINED])


def _prepend(backend: tokenizers.Tokenizer, token: str) -> None:
    from tokenizers.processors import TemplateProcessing

    number = backend.token_to_id(token)
    backend.post_processor = TemplateProcessing(
        single=f"{token} $A", pair=f"{token} $A {token}:1 $B:1", special_tokens=[(token, number)]
    )


def _strings(metadata: Mapping[str, Any], key: str) -> list[str]:
    values = metadata.get(PREFIX + key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InputError(f"{PREFIX}{key}: {type(values).__name__} is not accepted; a list of strings is needed")
    return values


def _token(tokens: list[str], metadata: Mapping[str, Any], key: str) -> str:
    number = metadata[PREFIX + key]
    if not isinstance(number, int) or not 0 <= number < len(tokens):
        raise InputError(f"{PREFIX}{key}: {number!r} is not accepted; a token from 0 to {len(tokens) - 1} is")
    return tokens[number]
