"""The named policies, described for people: what each does, and its options."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import Field, dataclass, fields
from typing import Any

from aptsched import policies
from aptsched.policies import named

OWN = "FILE.py:NAME"
SYNTAX = (
    "Options follow the name, each after a colon, as in aptserve:select=core:forms=kv; the first of several values is "
    "the default."
)


@dataclass(frozen=True)
class Entry:
    """A policy: its name, its rule, its options with their accepted values or defaults, and what is assumed of it."""

    name: str
    rule: str
    options: tuple[str, ...] = ()
    assumed: str = ""

    @property
    def text(self) -> str:
        """Rule, options and what is assumed, in words."""
        options = f"Options: {', '.join(self.options)}." if self.options else ""
        return " ".join(filter(None, [self.rule, options, self.assumed]))


def catalogue(select: Sequence[str]) -> list[Entry]:
    """Every built-in policy in order, those made of another one, and one's own; `select` are that option's values.

    An entry is made from the policy itself: the first line of its docstring, the sentence there that begins with
    "Assumed", and the fields of the dataclass.
    """
    entries = []
    for name, policy in named.built_in().items():
        choices = {"select": tuple(select), **getattr(policy, "choices", {})}
        known: tuple[Field[Any], ...] = fields(policy)  # type: ignore[arg-type]
        rule = _rule(policy)
        if any(field.name == "oracle" for field in known):
            rule += " Where true output lengths are known: not in `aptsched run`."
        options = tuple(
            _option(field, choices.get(field.name)) for field in known if field.init and field.name != "oracle"
        )
        entries.append(Entry(name, rule, options, _assumed(policy)))
    own = "A class of yours, made without arguments, or an object, with `decide(view) -> Plan`."
    around = [Entry(f"{name}(POLICY)", _rule(getattr(policies, of))) for name, of in named.WRAPPERS.items()]
    return [*entries, *around, Entry(OWN, own)]


def _rule(policy: type) -> str:
    """The first line of a class's docstring."""
    return (policy.__doc__ or "").partition("\n")[0]


def _assumed(policy: type) -> str:
    """The first sentence of a class's docstring that says what is assumed; empty where there is none."""
    found = re.search(r"\bAssumed\b.*?\.(?=\s)", policy.__doc__ or "", re.DOTALL)
    return " ".join(found[0].split()) if found else ""


def _option(field: Field[Any], choices: Sequence[str] | None) -> str:
    if isinstance(field.default, bool):
        choices = ("on", "off") if field.default else ("off", "on")
    return f"{field.name}={'|'.join(choices) if choices else field.default}"
