"""Functions of one frozen dataclass of options, called with its fields as keywords."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar

from aptsched.support.errors import InputError
from aptsched.support.shown import shown

Keywords = ParamSpec("Keywords")
Options = TypeVar("Options")
Answer = TypeVar("Answer")


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


def check_numbers(options: object, whole: Iterable[str], floats: Iterable[str]) -> None:
    """Check that some fields of a frozen dataclass are whole numbers and others numbers, made floats; None is accepted.

    Raises
    ------
    InputError
        A field is something else.
    """
    for name in whole:
        value = getattr(options, name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise InputError(f"{name}: {shown(value)} is not accepted; a whole number is")
    for name in floats:
        value = getattr(options, name)
        if value is None:
            continue
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise InputError(f"{name}: {shown(value)} is not accepted; a number is")
        object.__setattr__(options, name, float(value))


def as_given(options: Any, leave_out: Iterable[str] = ()) -> dict[str, Any]:
    """The fields of a dataclass in order, by name, without those left out."""
    return {field.name: getattr(options, field.name) for field in fields(options) if field.name not in leave_out}
