"""Functions of one frozen dataclass of options, called with its fields as keywords, which are held to their types."""

from __future__ import annotations

import functools
import inspect
import numbers
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar

from aptsched.support.errors import InputError
from aptsched.support.shown import shown

Keywords = ParamSpec("Keywords")
Options = TypeVar("Options")
Answer = TypeVar("Answer")


def _same(value: Any) -> Any:
    return value


# By annotation: who is one, in words, and as what it is kept.
KINDS: dict[str, tuple[type, str, Callable[[Any], object]]] = {
    "str": (str, "text", str),
    "os.PathLike": (os.PathLike, "a path", lambda path: os.fsdecode(os.fspath(path))),
    "int": (numbers.Integral, "a whole number", int),
    "float": (numbers.Real, "a number", float),
    "bool": (bool, "True or False", _same),
    "Callable": (Callable, "a function", _same),  # type: ignore[dict-item]
    "Mapping": (Mapping, "a mapping", _same),
    "None": (type(None), "nothing", _same),
}


def called_with(
    kind: Callable[Keywords, Options],
) -> Callable[[Callable[[Options], Answer]], Callable[Keywords, Answer]]:
    """Decorate a function of one dataclass so that it is called with the dataclass's fields, listed nowhere else."""

    def decorate(function: Callable[[Options], Answer]) -> Callable[Keywords, Answer]:
        @functools.wraps(function)
        def called(*args: Keywords.args, **keywords: Keywords.kwargs) -> Answer:
            return function(kind(*args, **keywords))

        own = inspect.signature(function)
        called.__signature__ = inspect.signature(kind).replace(return_annotation=own.return_annotation)  # type: ignore[attr-defined]
        del called.__wrapped__  # else signatures are those of the function that it wraps
        return called

    return decorate


def check_types(options: Any) -> None:
    """Check the fields of a frozen dataclass that are of plain types, and make paths texts and numbers Python's own.

    Plain are the types of `KINDS` and unions of them; fields of any other type stay as they are.

    Raises
    ------
    InputError
        A field is something else than its type says.
    """
    for field in fields(options):
        kinds = [kind.partition("[")[0] for kind in field.type.split(" | ")]
        if set(kinds) <= KINDS.keys():
            object.__setattr__(options, field.name, _plain(field.name, getattr(options, field.name), kinds))


def _plain(name: str, value: object, kinds: Sequence[str]) -> object:
    """The value as the first of these kinds that it is one of."""
    for kind in kinds:
        accepted, _, make = KINDS[kind]
        if isinstance(value, accepted) and (kind == "bool" or not isinstance(value, bool)):
            try:
                return make(value)
            except OverflowError as error:
                raise InputError(f"{name}: {shown(value)} is not accepted; what a float holds is") from error
    words = " or ".join(KINDS[kind][1] for kind in kinds if kind != "None")
    raise InputError(f"{name}: {shown(value)} is not accepted; {words} is")


def as_given(options: Any, leave_out: Iterable[str]) -> dict[str, Any]:
    """The fields of a dataclass in order, by name, without those left out."""
    return {field.name: getattr(options, field.name) for field in fields(options) if field.name not in leave_out}
