"""The tokenizer of a Hugging Face directory, with the tokens and templates that transformers gives it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from os.path import lexists
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aptsched.support.errors import InputError
from aptsched.support.files import read_text
from aptsched.support.shown import shown
from engine.models import hf_special_tokens, templates
from engine.models.faults import located
from engine.models.hf_special_tokens import Named
from engine.models.json_object import read_json
from engine.models.tokenizer import FastBackend, Tokenizer, guarded, surround

if TYPE_CHECKING:
    import tokenizers

WHOLE, VOCABULARY, MERGES = "tokenizer.json", "vocab.json", "merges.txt"
OTHERS = ("tokenizer.model", "tiktoken.model", "tekken.json", "spiece.model", VOCABULARY, MERGES)
SETTINGS = "tokenizer_config.json"
GPT2, LLAMA = "GPT2Tokenizer", "LlamaTokenizer"
CLASS_OF = {"opt": GPT2}  # for models whose files name no class
MAX_TOKEN = 2**32 - 1  # the largest that the tokenizers package accepts

Json = Mapping[str, Any]


def from_directory(directory: str | os.PathLike[str]) -> Tokenizer | None:
    """The tokenizer from tokenizer.json, or from vocab.json and merges.txt as GPT-2's; None where there is none.

    Tokens put before and after a text are those of tokenizer.json, as in transformers; without that file, those of
    add_bos_token and add_eos_token in tokenizer_config.json. The way that tokenizer.json splits a text is used for
    GPT2Tokenizer too, for which transformers 5 ignores it.

    Raises
    ------
    InputError
        A file is damaged, the tokenizer is of another kind, or a setting is not supported.
    """
    folder = Path(directory)
    settings = optional_json(folder / SETTINGS)
    name = _class_name(folder, settings)
    backend = _backend(folder, name)
    if backend is None:
        return None
    with located(folder / SETTINGS), guarded("the tokenizers package cannot use it"):
        _check(settings, backend, name)
        given = hf_special_tokens.merged(settings, optional_json(folder / "special_tokens_map.json"), name)
        special = hf_special_tokens.named(given)
        hf_special_tokens.add(backend, given, special, optional_json(folder / "added_tokens.json"))
        is_whole = lexists(folder / WHOLE)
        notices = _notices(backend, settings, special) if is_whole else _surround(backend, settings, special)
        backend.decode([])  # fails where its decoder always does
    template = templates.of_directory(folder, settings)
    return Tokenizer(FastBackend(backend), template, hf_special_tokens.contents(special), notices)


def optional_json(path: Path) -> Json:
    """The object in a JSON file; an empty one where there is no file."""
    return read_json(path) if lexists(path) else {}


def _class_name(folder: Path, settings: Json) -> str:
    """The name of the tokenizer's class in transformers: by the settings, the model's configuration, or its kind."""
    config = optional_json(folder / "config.json")
    name = (
        settings.get("tokenizer_class") or config.get("tokenizer_class") or CLASS_OF.get(str(config.get("model_type")))
    )
    return str(name or "").removesuffix("Fast")


def _backend(folder: Path, name: str) -> tokenizers.Tokenizer | None:
    import tokenizers

    path = folder / WHOLE
    if lexists(path):
        text = read_text(path)
        with guarded(f"{path}: not a tokenizer that the tokenizers package reads"):
            backend = tokenizers.Tokenizer.from_str(text)
        backend.no_truncation()
        backend.no_padding()
        return backend
    if name == GPT2 and lexists(folder / VOCABULARY) and lexists(folder / MERGES):
        return _gpt2(folder)
    found = [other for other in OTHERS if lexists(folder / other)]
    if found:
        pair = f"{VOCABULARY} and {MERGES} of a {GPT2}"
        raise InputError(
            f"{folder}: {' and '.join(found)} of {name or 'no class'}: not supported; {WHOLE} is, or {pair}"
        )
    return None


def _gpt2(folder: Path) -> tokenizers.Tokenizer:
    """GPT-2's tokenizer: bytes, merged within words and the space before them."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    path = folder / VOCABULARY
    vocabulary = read_json(path)
    for token, number in vocabulary.items():
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MAX_TOKEN:
            raise InputError(f"{path}: {shown(token)}: {shown(number)} is not accepted; a token number is")
    lines = [line for line in read_text(folder / MERGES).splitlines() if line and not line.startswith("#version")]
    merges = [tuple(line.split(" ")) for line in lines]
    wrong = next((line for line, merge in zip(lines, merges, strict=True) if len(merge) != 2), None)
    if wrong is not None:
        raise InputError(f"{folder / MERGES}: {shown(wrong)} is not accepted; two tokens with a space between them are")
    with guarded(f"{folder / MERGES}: not merges of {VOCABULARY}"):
        backend = Tokenizer(models.BPE(dict(vocabulary), merges))  # type: ignore[arg-type]  # they are pairs
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return backend


def _check(settings: Json, backend: tokenizers.Tokenizer, name: str) -> None:
    """Apply the settings that change tokens or texts, or raise InputError where they are not supported."""
    if flag(settings, "split_special_tokens"):
        backend.encode_special_tokens = True
    kind = type(backend.model).__name__
    if flag(settings, "clean_up_tokenization_spaces") and kind != "BPE":
        raise InputError(f"clean_up_tokenization_spaces: true is not supported with a {kind} tokenizer; false is")
    if name == GPT2:
        _prefix_space(backend, flag(settings, "add_prefix_space"))
    if name == LLAMA and kind == "BPE" and not _is_byte_level(backend):
        _as_llama(backend, settings)


def _prefix_space(backend: tokenizers.Tokenizer, wanted: bool) -> None:
    """Set whether a space is added before a text, in the step that splits bytes into words."""
    from tokenizers.pre_tokenizers import ByteLevel

    before = backend.pre_tokenizer
    if isinstance(before, ByteLevel):
        before.add_prefix_space = wanted
        backend.pre_tokenizer = before
    elif wanted:
        raise InputError(f"add_prefix_space: true is not supported with the pre_tokenizer of this {WHOLE}; false is")


def _is_byte_level(backend: tokenizers.Tokenizer) -> bool:
    parts = (backend.pre_tokenizer, backend.decoder)
    return any(b'"ByteLevel"' in part.__getstate__() for part in parts if part is not None)


def _as_llama(backend: tokenizers.Tokenizer, settings: Json) -> None:
    """Treat spaces and bytes as transformers' LlamaTokenizer does, whatever tokenizer.json says about them.

    A space is put before the text; with `legacy` also before text that follows a special token; without
    `add_prefix_space` nowhere. The space before the text is left out when tokens are decoded.
    """
    from tokenizers import decoders, pre_tokenizers

    adds = settings.get("add_prefix_space") is None or flag(settings, "add_prefix_space")
    where = ("always" if flag(settings, "legacy") else "first") if adds else "never"
    backend.normalizer = None
    backend.pre_tokenizer = pre_tokenizers.Metaspace("▁", where, split=False)
    strip = [decoders.Strip(" ", 1, 0)] if adds else []
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    model = backend.model
    model.unk_token, model.fuse_unk, model.byte_fallback = None, True, True


def flag(settings: Json, key: str) -> bool:
    """A boolean setting; false where it is absent or null."""
    value = settings.get(key)
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{key}: {shown(value)} is not accepted; true or false is")
    return bool(value)


def _surround(backend: tokenizers.Tokenizer, settings: Json, special: Named) -> tuple[str, ...]:
    """Have special tokens put before and after each text, as the settings say."""
    ends: list[list[str]] = []
    for name in ("bos_token", "eos_token"):
        wanted = flag(settings, f"add_{name}")
        if wanted and name not in special:
            raise InputError(f"add_{name}: true is not accepted without a {name}; false is")
        ends.append([special[name].content] if wanted else [])
    if any(ends):
        surround(backend, ends[0], ends[1])
    return ()


def _notices(backend: tokenizers.Tokenizer, settings: Json, special: Named) -> tuple[str, ...]:
    """Notices where tokenizer.json puts other tokens before and after a text than the settings say."""
    left, notices = backend.encode("").tokens, []
    for name, at in (("bos_token", slice(0, 1)), ("eos_token", slice(-1, None))):
        key, token = f"add_{name}", special.get(name)
        does = token is not None and left[at] == [token.content]
        left = left[1:] if does and at.start == 0 else left
        if settings.get(key) is not None and flag(settings, key) != does:
            said, which = str(settings[key]).lower(), "adds it" if does else "does not add it"
            notices.append(f"{SETTINGS}: {key} is {said}, but {WHOLE} {which}; {WHOLE} counts")
    return tuple(notices)
