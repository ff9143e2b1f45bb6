"""Which tokens of a GGUF file are special, and which of them end a text, as llama.cpp decides (src/llama-vocab.cpp)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aptsched.support.errors import InputError
from aptsched.support.shown import shown

PREFIX = "tokenizer.ggml."
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # token types
MAX_ID = 2**32 - 1
BAR = "\uff5c"  # fullwidth, in tokens of DeepSeek
# Texts of tokens that end a text whatever the metadata say; such tokens are control tokens.
ENDS = (
    *("<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>"),
    *("<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>"),
    *("<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>", f"<{BAR}end▁of▁sentence{BAR}>", "[e~["),
)
# Texts of tokens that get a meaning if the metadata name no token for it; those of the second group end a text too.
FILL_IN = {
    "fim_pre_token_id": (
        *("<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", f"<{BAR}fim▁begin{BAR}>", "<PRE>", "▁<PRE>"),
        *("<|code_prefix|>", "<|prefix|>"),
    ),
    "fim_suf_token_id": (
        *("<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", f"<{BAR}fim▁hole{BAR}>", "<SUF>", "▁<SUF>"),
        *("<|code_suffix|>", "<|suffix|>"),
    ),
    "fim_mid_token_id": (
        *("<|fim_middle|>", "<fim-middle>", "<fim_middle>", f"<{BAR}fim▁end{BAR}>", "<MID>", "▁<MID>"),
        *("<|code_middle|>", "<|middle|>"),
    ),
}
FILL_IN_ENDS = {
    "fim_pad_token_id": ("<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"),
    "fim_rep_token_id": ("<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"),
    "fim_sep_token_id": ("<|file_sep|>",),
}
OLD_NAME = {
    "fim_pre_token_id": "prefix_token_id",
    "fim_suf_token_id": "suffix_token_id",
    "fim_mid_token_id": "middle_token_id",
}
# If all tokens of a group are there, the one beside the group ends no text.
NO_END = (
    ({"<|return|>", "<|call|>"}, "<|end|>"),
    ({"<|return|>", "<|calls|>"}, "<|end|>"),
    ({"<|flush|>", "<|call|>"}, "<|end|>"),
    ({"<|flush|>", "<|calls|>"}, "<|end|>"),
    ({"<|tool_response>"}, "</s>"),
)
DEFAULTS = {"llama": {"bos_token_id": 1, "eos_token_id": 2, "unknown_token_id": 0}}

Metadata = Mapping[str, Any]


def token_id(metadata: Metadata, key: str) -> int | None:
    """The number of a special token; None where the file names none.

    With `tokenizer.ggml.model` "llama", the begin and end of a text have default numbers. llama.cpp has a default for
    "gpt2" too, 11, from the first model of that kind; in other models 11 is an ordinary token, so it is left out here.
    """
    tokens = metadata.get(f"{PREFIX}tokens")
    num_tokens = len(tokens) if isinstance(tokens, list) else MAX_ID + 1
    default = DEFAULTS.get(str(metadata.get(f"{PREFIX}model")), {}).get(key)
    given = metadata.get(PREFIX + key, default if default is not None and default < num_tokens else None)
    if given is not None and (not isinstance(given, int) or isinstance(given, bool) or not 0 <= given < num_tokens):
        raise InputError(f"{PREFIX}{key}: {shown(given)} is not accepted; a token from 0 to {num_tokens - 1} is")
    return given


def end_token_ids(metadata: Metadata) -> tuple[int, ...]:
    """Tokens that end a text: those that the metadata name, and those with a text in `ENDS` or `FILL_IN`."""
    by_text = _by_text(metadata)
    named = (token_id(metadata, key) for key in ("eos_token_id", "eot_token_id", "eom_token_id"))
    fill_in = (_fill_in(metadata, key, texts, by_text) for key, texts in FILL_IN_ENDS.items())
    ids = [*named, *fill_in, *(by_text.get(text) for text in ENDS)]
    not_ends = {by_text.get(text) for group, text in NO_END if group <= by_text.keys()}
    return tuple(dict.fromkeys(i for i in ids if i is not None and i not in not_ends))


def token_types(metadata: Metadata) -> list[int]:
    """The type of each token; tokens that have a meaning by their text are control tokens."""
    tokens = metadata[f"{PREFIX}tokens"]
    types = metadata.get(f"{PREFIX}token_type", [NORMAL] * len(tokens))
    if not isinstance(types, list) or not all(isinstance(each, int) for each in types):
        raise InputError(f"{PREFIX}token_type: {type(types).__name__} is not accepted; a list of whole numbers is")
    if len(types) != len(tokens):
        raise InputError(f"{PREFIX}token_type: {len(types)} are not accepted; one for each of {len(tokens)} tokens is")
    by_text = _by_text(metadata)
    fill_in = (_fill_in(metadata, key, texts, by_text) for key, texts in (FILL_IN | FILL_IN_ENDS).items())
    control = {*fill_in, *(by_text.get(text) for text in ENDS)}
    for group, text in NO_END:
        if group <= by_text.keys() and text in by_text:
            types = [*types]
            types[by_text[text]] = USER_DEFINED if text == "<|end|>" else NORMAL
            control.discard(by_text[text])
    return [CONTROL if i in control else kind for i, kind in enumerate(types)]


def _by_text(metadata: Metadata) -> dict[str, int]:
    tokens = metadata.get(f"{PREFIX}tokens")
    return {token: i for i, token in enumerate(tokens) if isinstance(token, str)} if isinstance(tokens, list) else {}


def _fill_in(metadata: Metadata, key: str, texts: tuple[str, ...], by_text: Mapping[str, int]) -> int | None:
    """The token of a meaning: the one that the metadata name, else the first of these texts that is a token."""
    named = token_id(metadata, OLD_NAME.get(key, key))
    named = token_id(metadata, key) if named is None else named
    return named if named is not None else next((by_text[text] for text in texts if text in by_text), None)
