"""Special tokens of a Hugging Face directory: their names, and how they are matched in texts.

This follows transformers: names are those of tokenizer_config.json; if that has no added_tokens_decoder, those of
special_tokens_map.json have precedence, and added_tokens.json is read. A token that tokenizer.json does not list as
added is added, with a number behind the vocabulary if it has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from aptsched.support.errors import InputError
from aptsched.support.shown import shown

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
DEFAULTS = {  # of transformers' classes
    "GPT2Tokenizer": dict.fromkeys(("bos_token", "eos_token", "unk_token"), "<|endoftext|>"),
    "LlamaTokenizer": {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
}
EXTRA, OLD_EXTRA, LISTED = "extra_special_tokens", "additional_special_tokens", "added_tokens_decoder"
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")

Json = Mapping[str, Any]
Named = Mapping[str, "AddedToken"]


def merged(settings: Json, special_map: Json, class_name: str) -> Json:
    """The settings of tokenizer_config.json and special_tokens_map.json together, with the defaults of the class."""
    given = {**DEFAULTS.get(class_name, {}), **settings}
    given[EXTRA] = given.get(EXTRA) or given.pop(OLD_EXTRA, None) or []
    if LISTED not in settings:
        more = special_map.get(EXTRA, () if given[EXTRA] else special_map.get(OLD_EXTRA, ()))
        own = {key for key, value in settings.items() if key not in NAMES and isinstance(value, str)}  # have precedence
        given |= {key: value for key, value in special_map.items() if key not in own}
        given[EXTRA] = [*settings.get(EXTRA, []), *more] if isinstance(more, list) else given[EXTRA]
    if not isinstance(given[EXTRA], (list, dict)):
        raise InputError(f"{EXTRA}: {shown(given[EXTRA])} is not accepted; a list of tokens is, or an object of them")
    return given


def named(given: Json) -> dict[str, AddedToken]:
    """Special tokens by name, usual names as "bos_token" and those of the model as "image_token"."""
    names = [*NAMES, *(key for key in given if key.endswith("_token") and isinstance(given[key], (str, dict)))]
    found = {name: given[name] for name in dict.fromkeys(names) if given.get(name) is not None}
    found |= given[EXTRA] if isinstance(given[EXTRA], dict) else {}
    return {name: _token(name, value, is_special=True) for name, value in found.items()}


def contents(special: Named) -> dict[str, str]:
    """The texts of special tokens by name, for templates."""
    return {name: token.content for name, token in special.items()}


def add(backend: Tokenizer, given: Json, special: Named, added: Json) -> None:
    """Add all special tokens, so that they are matched whole before a text is split, and left out when decoding."""
    there = backend.get_added_tokens_decoder()
    extra = [_token(EXTRA, value, True) for value in given[EXTRA]] if isinstance(given[EXTRA], list) else []
    names = {token.content for token in special.values()}
    free = {token: number for token, number in added.items() if number not in there}
    new = _listed(given, free, names | {token.content for token in extra})
    new = [token for token in new if repr(token) not in map(repr, there.values())]
    known = {token.content for token in (*there.values(), *new)}
    for token in (*special.values(), *extra):
        if token.content not in known and repr(token) not in map(repr, new):  # of two with one text the last counts
            new.append(token)
    for token in new:
        token.special = token.special or token.content in names
    backend.add_tokens(new)


def _listed(given: Json, added: Json, special: Set[str]) -> list[AddedToken]:
    """Tokens that a file lists with their numbers, in order of the numbers."""
    listed = given.get(LISTED)
    if listed is not None and not isinstance(listed, dict):
        raise InputError(f"{LISTED}: {shown(listed)} is not accepted; an object of token numbers and tokens is")
    if listed is not None:
        numbered = sorted(((_number(LISTED, key), value) for key, value in listed.items()), key=itemgetter(0))
        return [_token(LISTED, token, False) for _, token in numbered]
    numbers = sorted((_number("added_tokens.json", number), token) for token, number in added.items())
    return [_added(token, token in special) for _, token in numbers]


def _number(field: str, given: object) -> int:
    text = str(given)
    if isinstance(given, bool) or not (text.isascii() and text.isdecimal()) or len(text) > 10:
        raise InputError(f"{field}: {shown(given)} is not accepted; token numbers are")
    return int(text)


def _added(content: str, is_special: bool) -> AddedToken:
    from tokenizers import AddedToken

    return AddedToken(content, normalized=not is_special, special=is_special)


def _token(field: str, given: object, is_special: bool) -> AddedToken:
    """A token from its text or from an object with "content" and flags."""
    from tokenizers import AddedToken

    values = {"content": given} if isinstance(given, str) else given
    if not isinstance(values, dict) or not isinstance(values.get("content"), str):
        raise InputError(f"{field}: {shown(given)} is not accepted; a token's text is, or an object with its content")
    flags = {key: values[key] for key in FLAGS if key in values}
    for key, value in flags.items():
        if not isinstance(value, bool):
            raise InputError(f"{field}: {key} {shown(value)} is not accepted; true or false is")
    return AddedToken(values["content"], **({"special": True} if is_special else {}) | flags)
