"""The tokenizer in the metadata of a GGUF file: byte-level BPE by merges, or SentencePiece's by scores."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.models.faults import listed
from engine.models.gguf_special_tokens import (
    BYTE,
    CONTROL,
    FILL_IN,
    FILL_IN_ENDS,
    OLD_NAME,
    PREFIX,
    UNKNOWN,
    USER_DEFINED,
    token_id,
    token_types,
)
from engine.models.spm import SpmBackend
from engine.models.templates import ChatTemplate, parsed
from engine.models.text_stream import BYTE_TOKEN
from engine.models.tokenizer import Backend, FastBackend, Tokenizer, guarded, surround

if TYPE_CHECKING:
    import tokenizers

TEMPLATE = "tokenizer.chat_template"
NONE = ("none", "no_vocab")  # names of the kind of tokenizer in files that have none
GPT2, SPM = "gpt2", "llama"
LLAMA3 = "llama-bpe"
SPLITS = {"smollm": "smollm", "gpt-2": "gpt-2", LLAMA3: LLAMA3, "llama3": LLAMA3, "llama-v3": LLAMA3}
# How Llama 3 splits a text: contractions, words, up to three digits, punctuation, line ends, spaces.
LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Keys that change tokens, each with the values that change nothing.
NEUTRAL: dict[str, Any] = {
    "add_sep_token": False,
    "remove_extra_whitespaces": False,
    "precompiled_charsmap": [],
    "suppress_tokens": [],
}
SPECIAL = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "sep_token": "seperator_token_id",
    "pad_token": "padding_token_id",
    "cls_token": "cls_token_id",
    "mask_token": "mask_token_id",
}

USED = {
    *("model", "pre", "tokens", "token_type", "scores", "merges", "add_bos_token", "add_eos_token", "add_space_prefix"),
    *("eot_token_id", "eom_token_id", *SPECIAL.values(), *FILL_IN, *FILL_IN_ENDS, *OLD_NAME.values()),
}
HARMLESS = {"token_type_count", "normalizer.lowercase", "normalizer.strip_accents"}  # of other kinds of models
OTHER_KEYS = {"tokenizer.huggingface.json", "tokenizer.rwkv.world", "tokenizer.chat_templates"}

Metadata = Mapping[str, Any]


def tokenizer_of(metadata: Metadata) -> Tokenizer | None:
    """The tokenizer, which makes the same tokens as llama.cpp; None where the file has none.

    Raises
    ------
    InputError
        The kind is neither GPT-2's byte-level BPE nor SentencePiece's ("llama"), the way of splitting is not known,
        lists do not match, or a setting is not supported.
    """
    model = metadata.get(f"{PREFIX}model")
    if model is None or model in NONE:
        return None
    if model not in (GPT2, SPM):
        raise InputError(
            f"{PREFIX}model: {model!r} is not supported; {GPT2!r} (byte-level BPE) and {SPM!r} (SentencePiece) are"
        )
    for key, accepted in NEUTRAL.items():
        if metadata.get(PREFIX + key, accepted) != accepted:
            raise InputError(f"{PREFIX}{key}: {shown(metadata[PREFIX + key])} is not supported; {accepted} is")
    tokens = _tokens(metadata)
    metadata = {**metadata, f"{PREFIX}tokens": tokens}
    types = token_types(metadata)
    ids = {name: token_id(metadata, key) for name, key in SPECIAL.items()}
    special = {name: tokens[i] for name, i in ids.items() if i is not None}
    backend = (_byte_level if model == GPT2 else _spm)(metadata, tokens, types)
    return Tokenizer(backend, _template(metadata), special, _notices(metadata))


def _notices(metadata: Metadata) -> tuple[str, ...]:
    """Notices about keys that are not known."""
    known = {PREFIX + key for key in USED | NEUTRAL.keys() | HARMLESS} | OTHER_KEYS
    unknown = [shown(key)[1:-1] for key in metadata if key.startswith("tokenizer.") and key not in known]
    unknown = [key for key in unknown if not key.startswith(TEMPLATE)]
    return (f"metadata: {listed(unknown)}: not known, and not used",) if unknown else ()


def _tokens(metadata: Metadata) -> list[str]:
    """The texts of all tokens; one without text gets a name, as in llama.cpp."""
    tokens = [token or f"[EMPTY_{i}]" for i, token in enumerate(_strings(metadata, "tokens"))]
    if len(set(tokens)) < len(tokens):
        seen: set[str] = set()
        twice = next(token for token in tokens if token in seen or seen.add(token))  # type: ignore[func-returns-value]
        raise InputError(f"{PREFIX}tokens: {shown(twice)} is there twice; each token once is accepted")
    return tokens


def _byte_level(metadata: Metadata, tokens: list[str], types: Sequence[int]) -> Backend:
    given = metadata.get(f"{PREFIX}pre")
    pre = SPLITS.get(given) if isinstance(given, str) else None
    if pre is None:
        raise InputError(f"{PREFIX}pre: {shown(given)} is not supported; {', '.join(SPLITS)} are")
    if _flag(metadata, "add_space_prefix", False):
        raise InputError(f"{PREFIX}add_space_prefix: true is not supported with model {GPT2!r}; false is")
    backend = _bpe(tokens, _strings(metadata, "merges"), pre)
    _add_special(backend, tokens, types)
    before, after = _ends(metadata, adds_bos=pre == LLAMA3)
    if before or after:
        surround(backend, [tokens[i] for i in before], [tokens[i] for i in after])
    return FastBackend(backend)


def _spm(metadata: Metadata, tokens: list[str], types: Sequence[int]) -> Backend:
    scores = metadata.get(f"{PREFIX}scores", [0.0] * len(tokens))
    if not isinstance(scores, list) or len(scores) != len(tokens):
        raise InputError(f"{PREFIX}scores: a list of a number for each of {len(tokens)} tokens is needed")
    for score in scores:
        if not isinstance(score, (int, float)) or math.isnan(score):
            raise InputError(f"{PREFIX}scores: {shown(score)} is not accepted; numbers are")
    wrong = next((i for i, kind in enumerate(types) if kind == BYTE and not BYTE_TOKEN.fullmatch(tokens[i])), None)
    if wrong is not None:
        raise InputError(f"{PREFIX}tokens: {shown(tokens[wrong])} is not accepted as a byte; '<0x00>' to '<0xFF>' are")
    before, after = _ends(metadata, adds_bos=True)
    return SpmBackend(tokens, scores, types, _flag(metadata, "add_space_prefix", True), before, after)


def _ends(metadata: Metadata, adds_bos: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tokens put before and after each text."""
    ends = []
    for name, default in (("bos_token", adds_bos), ("eos_token", False)):
        adds, number = _flag(metadata, f"add_{name}", default), token_id(metadata, f"{name}_id")
        if adds and number is None:
            raise InputError(f"{PREFIX}{name}_id: it is missing; it is needed where add_{name} is true")
        ends.append((number,) if adds and number is not None else ())
    return ends[0], ends[1]


def _template(metadata: Metadata) -> ChatTemplate | None:
    """The template of tokenizer.chat_template, or those of tokenizer.chat_template.NAME where that is missing."""
    if metadata.get(TEMPLATE) is not None:
        return parsed(TEMPLATE, metadata[TEMPLATE])
    named = {key.removeprefix(f"{TEMPLATE}."): text for key, text in metadata.items() if key.startswith(f"{TEMPLATE}.")}
    return parsed(TEMPLATE, named) if named else None


def _bpe(tokens: list[str], merges: list[str], pre: str) -> tokenizers.Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    with guarded(f"{PREFIX}merges: not merges of {PREFIX}tokens"):
        model = models.BPE({token: i for i, token in enumerate(tokens)}, pairs, ignore_merges=pre == LLAMA3)
    backend = Tokenizer(model)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre != LLAMA3)
    if pre == "smollm":
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level])
    elif pre == LLAMA3:
        split = pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    else:
        backend.pre_tokenizer = byte_level
    backend.decoder = decoders.ByteLevel()
    return backend


def _add_special(backend: tokenizers.Tokenizer, tokens: list[str], types: Sequence[int]) -> None:
    from tokenizers import AddedToken

    special = [token for token, kind in zip(tokens, types, strict=True) if kind in (CONTROL, UNKNOWN)]
    own = [token for token, kind in zip(tokens, types, strict=True) if kind == USER_DEFINED]
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    backend.add_tokens([AddedToken(token, normalized=False) for token in own])


def _flag(metadata: Metadata, key: str, default: bool) -> bool:
    value = metadata.get(PREFIX + key, default)
    if not isinstance(value, bool):
        raise InputError(f"{PREFIX}{key}: {shown(value)} is not accepted; true or false is")
    return value


def _strings(metadata: Metadata, key: str) -> list[str]:
    values = metadata.get(PREFIX + key)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InputError(f"{PREFIX}{key}: {type(values).__name__} is not accepted; a list of strings is needed")
    return values
