"""Chat templates: render messages to a prompt, in a Jinja environment with the same rules as that of transformers.

A template finds there what `apply_chat_template` of transformers gives it
(https://huggingface.co/docs/transformers/chat_templating): the filter `tojson`, which escapes no HTML, `strftime_now`,
`raise_exception`, blocks of `generation`, `break` and `continue`, and namespaces without names that begin with "_".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.utils import Namespace

from aptsched.support.errors import InputError
from engine.models.template_bounds import MAX_LENGTH, BoundedEnvironment
from engine.models.text import check_unicode

REASONING = ("reasoning_content", "thinking", "reasoning")  # names of one field, the one that templates read first
SHOWN = 200  # characters of a template's error in a message

Message = Mapping[str, Any]


def render(
    template: str,
    messages: Sequence[Message],
    special_tokens: Mapping[str, str],
    now: Callable[[], datetime] = datetime.now,
) -> str:
    """The prompt that a template makes of messages, up to where the model's answer begins.

    Raises
    ------
    InputError
        There are no messages; a message is not made of JSON's types or has text that is not Unicode; the template is
        malformed, refuses the messages, fails, or does not end.
    """
    try:
        shown = _shown(messages)
        rendering = (
            _environment(now)
            .from_string(template)
            .generate(messages=shown, tools=None, documents=None, add_generation_prompt=True, **special_tokens)
        )
        prompt = _joined(rendering)
    except InputError:
        raise
    except Exception as error:  # whatever a template can raise
        fault = " ".join(str(error).split())[:SHOWN] or "no reason given"
        raise InputError(
            f"chat_template: it cannot be used with these messages ({type(error).__name__}: {fault})"
        ) from error
    check_unicode("chat_template: the prompt", prompt)
    return prompt


def _joined(pieces: Any) -> str:
    kept, length = [], 0
    for piece in pieces:
        kept.append(piece)
        length += len(piece)
        if length > MAX_LENGTH:
            raise InputError(
                f"chat_template: its prompt is longer than {MAX_LENGTH} characters; a shorter one is accepted"
            )
    return "".join(kept)


def _shown(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as templates see them: JSON's types, no fields that are null, and reasoning under its usual name."""
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence) or not messages:
        raise InputError(f"messages: {str(messages)[:60]!r} is not accepted; at least one message is, in a list")
    shown = []
    for given in messages:
        if not isinstance(given, Mapping):
            raise InputError(f"messages: {type(given).__name__} is not accepted; objects with role and content are")
        message = {key: _plain(value) for key, value in given.items() if value is not None}
        reasoning = next((message[name] for name in REASONING if name in message), None)
        if reasoning is not None:
            message = {"thinking": reasoning, **message, REASONING[0]: reasoning}
        shown.append(message)
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        check_unicode("messages", value)
        return str(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    raise InputError(f"messages: {type(value).__name__} is not accepted; text, numbers, lists and objects are")


def _environment(now: Callable[[], datetime]) -> jinja2.Environment:
    extensions = [_Generation, loopcontrols]
    environment = BoundedEnvironment({"tojson": _to_json}, trim_blocks=True, lstrip_blocks=True, extensions=extensions)
    environment.globals |= {
        "raise_exception": _refuse,
        "strftime_now": lambda form: now().strftime(form),
        "dict": _Dict(),
        "namespace": _PublicNamespace,
    }
    return environment


def _refuse(message: object) -> str:
    raise InputError(f"chat_template: {str(message)[:SHOWN]}")


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class _Generation(Extension):
    """The block that marks the model's own text for training; here it only renders its content, in its own scope."""

    tags = {"generation"}  # noqa: RUF012  # as jinja2 declares it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        content = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_content"), [], [], content).set_lineno(line)

    def _content(self, caller: Callable[[], str]) -> str:
        return caller()


class _Dict:
    """`dict` for templates, without the attributes of the type except `fromkeys`."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _PublicNamespace(Namespace):
    """A namespace that refuses names which begin with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # so that `self` may be a name, as in jinja2
        self, *given = args
        for name in dict(*given, **kwargs):
            _check_public(name)
        Namespace.__init__(self, *given, **kwargs)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_public(name)
        super().__setitem__(name, value)


def _check_public(name: object) -> None:
    if str(name).startswith("_"):
        raise InputError(f"chat_template: namespace name {str(name)[:60]!r} is not accepted; one without leading _ is")
