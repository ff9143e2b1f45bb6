"""Policies by name, and from a user's own file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from aptsched import policies
from aptsched.policies.composition import Select
from aptsched.policies.oracle import TrueLengths
from aptsched.scheduling.plan import Policy
from aptsched.support.errors import InputError
from aptsched.support.number_text import read_number
from aptsched.support.own_code import OWN, made, module_of
from aptsched.support.shown import shown

CLASSES = {
    "fcfs": "FCFS",
    "vllm-v1": "VLLMv1",
    "sarathi": "Sarathi",
    "random": "RandomOrder",
    "sjf": "SJF",
    "fastserve": "FastServe",
    "priority": "Priority",
    "past-future": "PastFuture",
    "vtc": "VTC",
    "andes": "Andes",
    "wait": "WAIT",
    "nested-wait": "NestedWAIT",
    "fastgen": "FastGen",
    "qoserve": "QoServe",
    "slai": "SLAI",
    "scorpio": "Scorpio",
    "svf": "SVF",
    "svf:lengths=true": "SVFTrueLengths",
    "jitserve": "JITServe",
    "slos-serve": "SLOsServe",
    "alise": "ALISE",
    "bid-price": "BidPrice",
    "contract": "Contract",
    "aptserve": "AptServe",
    "aptserve:as=paper": "AptServePrinted",
}  # exports of `aptsched.policies` by the policies' names
WRAPPERS = {"shed": "Shed", "fitted": "Fitted"}  # likewise, of policies that are made of another: `shed(fcfs)`
MOST_WRAPPERS = 16  # around one policy
WRAPPED = re.compile(rf"({'|'.join(WRAPPERS)})\((.*)\)", re.DOTALL)
FLAGS = {"on": True, "off": False, "true": True, "false": False}


def built_in() -> dict[str, type[Policy]]:
    """The policies that have a name; their dataclass fields are the options."""
    return {name: class_of(name) for name in CLASSES}


def class_of(name: str) -> type[Policy]:
    """The policy of that name in `CLASSES`; its module is imported here, and with it what it stands on."""
    found: type[Policy] = getattr(policies, CLASSES[name])
    return found


def unwrapped(text: str) -> tuple[list[str], str]:
    """The names of the policies that a text puts around another one, the outermost first, and the text of that.

    Raises
    ------
    InputError
        There are more than 16.
    """
    names: list[str] = []
    while found := WRAPPED.fullmatch(text):
        if len(names) == MOST_WRAPPERS:
            raise InputError(
                f"policy: {shown(text)} is not accepted within {len(names)} others; up to {MOST_WRAPPERS} are"
            )
        names.append(found[1])
        text = found[2]
    return names, text


def wrapped(policy: Policy, names: Iterable[str]) -> Policy:
    """The policy within those of these names, the outermost first."""
    for name in reversed([*names]):
        policy = getattr(policies, WRAPPERS[name])(policy)
    return policy


def load_policy(text: str, select: Mapping[str, Select] | None = None, oracle: TrueLengths | None = None) -> Policy:
    """The policy that a text describes.

    Parameters
    ----------
    text : str
        `name[:option=value[:option=value ...]]` for a built-in one, as in "aptserve:select=core:forms=kv"; an option
        that is on or off may go without a value. A name may have an option in itself, as "aptserve:as=paper", which
        then stands anywhere among the options. `path.py:Name` for a class without parameters, or an object, in a file
        of one's own: anything with `decide(view) -> Plan`. Any of them within others of `WRAPPERS`: "shed(fcfs)".
    select : mapping of str to callable, optional
        What the option `select` accepts, by name; "greedy" alone by default.
    oracle : TrueLengths, optional
        For policies with a field of this name, which see true lengths that no server knows.

    Raises
    ------
    InputError
        There is no such policy, option or value: the message lists what there is. The file cannot be loaded.
    """
    names, inner = unwrapped(text)
    if names:
        return wrapped(load_policy(inner, select, oracle), names)
    own = OWN.fullmatch(text)
    if own:
        return _from_file(Path(own["path"]), own["name"])
    name, options = _split(text)
    if text.count("(") != text.count(")"):
        alone = "each policy stands alone in its parentheses, as in shed(fcfs),shed(sarathi)"
        raise InputError(f"policy: {shown(text)} has a parenthesis without its other one; {alone}")
    if name not in CLASSES:
        around = " or ".join(f"{each}(POLICY)" for each in WRAPPERS)
        said = f"{', '.join(CLASSES)} and path.py:Name are, and any of them, with its options, as {around}"
        raise InputError(f"policy: {(text if '(' in text else name)!r} is not known; {said}")
    kind = class_of(name)
    known = {field.name: field for field in fields(kind) if field.init}  # type: ignore[arg-type]
    given: dict[str, object] = {}
    if known.pop("oracle", None) is not None:
        if oracle is None:
            raise InputError(
                f"policy: {name} sees the true output lengths; where they are not known, others are accepted"
            )
        given["oracle"] = oracle
    for option in options:
        key, equals, value = option.partition("=")
        if key not in known or key in given:
            what = "is given twice" if key in known else "is not known"
            accepted = [*known, *(other.removeprefix(f"{name}:") for other in CLASSES if other.startswith(f"{name}:"))]
            be = "is" if len(accepted) == 1 else "are"
            raise InputError(f"policy {name}: option {key!r} {what}; {', '.join(accepted) or 'none'} {be} accepted")
        given[key] = _value(name, known[key], value if equals else None, select)
    try:
        return kind(**given)
    except InputError as error:
        raise InputError(f"policy {name}: {error}") from error


def _split(text: str) -> tuple[str, list[str]]:
    """Name and options of a text; an option that belongs to the name of a policy is part of the name."""
    name, *options = text.split(":")
    for option in options:
        if f"{name}:{option}" in CLASSES:
            options.remove(option)
            return f"{name}:{option}", options
    return name, options


def _value(policy: str, field: Field[Any], text: str | None, select: Mapping[str, Select] | None) -> object:
    """An option's value, of the type of its default."""
    default = field.default
    assert default is not MISSING, "every option has a default"
    if field.name == "select":
        answers = select or {"greedy": default}
        return _one_of(policy, field.name, text, answers)
    if isinstance(default, bool):
        return _one_of(policy, field.name, "on" if text is None else text, FLAGS)
    if text is None:
        raise InputError(f"policy {policy}: option {field.name!r} has no value; {field.name}={default} is its default")
    try:
        return text if isinstance(default, str) else read_number(text, type(default))
    except ValueError:
        kind = {int: "a whole number", float: "a number"}[type(default)]
        raise InputError(f"policy {policy}: {field.name}: {shown(text)} is not accepted; {kind} is") from None


def _one_of(policy: str, option: str, text: str | None, choices: Mapping[str, object]) -> object:
    if text is None or text not in choices:
        given, are = "no value" if text is None else shown(text), "are" if len(choices) > 1 else "is"
        raise InputError(f"policy {policy}: {option}: {given} is not accepted; {', '.join(choices)} {are}")
    return choices[text]


def _from_file(path: Path, name: str) -> Policy:
    module = module_of("policy", path)
    with made("policy", name, path):
        found = getattr(module, name, None)
        policy = found() if isinstance(found, type) else found
        decides = callable(getattr(policy, "decide", None))
    if not decides:
        names = [key for key, value in vars(module).items() if hasattr(value, "decide") and key != "Policy"]
        accepted = f"what has one there: {', '.join(names) or 'nothing'}"
        raise InputError(f"policy: {path} has no {name!r} with a method `decide`; {accepted}")
    own: Policy = policy  # type: ignore[assignment]
    return own
