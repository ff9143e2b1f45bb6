"""The methods of a study: by name, from a file, or functions of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aptsched.support.errors import InputError
from aptsched.support.several import parts
from aptsched.support.shown import shown
from solvers.methods import Method, find_method
from solvers.own import OwnFunction, checked_solver

OneMethod = str | OwnFunction
Methods = OneMethod | Iterable[OneMethod] | Mapping[str, OneMethod]


def named_methods(given: Methods) -> list[Method]:
    """The methods that are given, each once.

    Parameters
    ----------
    given : text or function, several of them, or a mapping to them from names
        Text has names that `find_method` accepts, with commas between them. A function is a solver of one's own,
        `solve(problem, time_limit_s)`, that returns a `Selection` or a `Solution`, which is checked; without a mapping
        it goes by its own name.

    Raises
    ------
    InputError
        No method is given, a name is not accepted, two have the same name, or something is no method.
    """
    named: dict[str, Method] = {}
    for name, method in given.items() if isinstance(given, Mapping) else _pairs(given):
        if isinstance(method, str):
            found = find_method(method)
            named[found.name] = found
            continue
        if not isinstance(name, str) or parts("methods", name) != [name] or name in named:
            accepted = "text without commas that no other has is; a mapping to functions from their names says it"
            raise InputError(f"methods: the name {shown(name)} is not accepted; {accepted}")
        if not callable(method):
            raise InputError(f"methods: {shown(name)} cannot be called; `solve(problem, time_limit_s)` is accepted")
        named[name] = Method(name, "none", checked_solver(name, method))
    if not named:
        raise InputError("methods: nothing is given; at least one is needed")
    return list(named.values())


def _pairs(given: OneMethod | Iterable[OneMethod]) -> Iterable[tuple[str, OneMethod]]:
    several = given if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    for method in several:
        if isinstance(method, str):
            yield from ((part, part) for part in parts("methods", method))
        else:
            yield getattr(method, "__name__", type(method).__name__), method
