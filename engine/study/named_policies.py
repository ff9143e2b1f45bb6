"""The policies of a study: by name, from a file, or classes and objects of one's own."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from functools import partial

from aptsched.policies.composition import Select
from aptsched.policies.named import built_in, load_policy, unwrapped, wrapped
from aptsched.policies.oracle import TrueLengths
from aptsched.scheduling.plan import Policy
from aptsched.support.errors import InputError
from aptsched.support.own_code import OWN, blamed
from aptsched.support.several import each_of, parts
from aptsched.support.shown import shown
from engine.study.own_policy import OwnPolicy
from engine.study.serving import NamedPolicy

OnePolicy = str | Policy | type[Policy]
Policies = OnePolicy | Iterable[OnePolicy] | Mapping[str, OnePolicy]


def by_name(given: Policies) -> dict[str, OnePolicy]:
    """The policies that are given, each by its name.

    Parameters
    ----------
    given : text, class or object, several of them, or a mapping to them from names
        Text has policies that `load_policy` accepts, with commas between them. A class is instantiated without
        arguments for each run; of an object each run gets a copy. Without a mapping both are named after the class.

    Raises
    ------
    InputError
        No policy is given, a name is not accepted, two have the same name, or something has no `decide`.
    """
    named: dict[str, OnePolicy] = {}
    for name, policy in given.items() if isinstance(given, Mapping) else _pairs(given):
        if not isinstance(policy, str) or not isinstance(name, str):
            _check(name, policy, taken=name in named)
        named[name] = policy
    if not named:
        raise InputError("policy: nothing is given; at least one is needed")
    return named


def _pairs(given: OnePolicy | Iterable[OnePolicy]) -> Iterable[tuple[str, OnePolicy]]:
    several = given if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    for policy in several:
        if isinstance(policy, str):
            yield from ((part, part) for part in parts("policy", policy))
        else:
            yield (policy if isinstance(policy, type) else type(policy)).__name__, policy


def _check(name: object, policy: object, taken: bool) -> None:
    """Raises InputError unless it is a policy that can have that name; `taken` says whether another has it."""
    if not isinstance(name, str) or parts("policy", name) != [name]:
        raise InputError(f"policy: the name {shown(name)} is not accepted; text without commas is")
    if taken:
        raise InputError(f"policy: two are named {shown(name)}; a mapping to them from names that differ is accepted")
    with blamed("policy", name):
        decides = callable(getattr(policy, "decide", None))
    if not decides:
        raise InputError(f"policy: {shown(name)} does not decide; what has `decide(view) -> Plan` is accepted")


def named_policies(
    given: Policies, select: Mapping[str, Select] | None = None, oracle: TrueLengths | None = None
) -> list[NamedPolicy]:
    """The policies of a study; each is made once here, to find errors early.

    Parameters
    ----------
    given : as in `by_name`
    select, oracle : optional
        As in `load_policy`; policies that need an oracle are only accepted with one.
    """
    policies = [
        NamedPolicy(name, partial(_make, name, policy, select, oracle)) for name, policy in by_name(given).items()
    ]
    for policy in policies:
        policy.make()
    return policies


def _make(name: str, given: OnePolicy, select: Mapping[str, Select] | None, oracle: TrueLengths | None) -> Policy:
    if isinstance(given, str):
        names, inner = unwrapped(given)
        policy = load_policy(inner, select, oracle)
        return wrapped(OwnPolicy(inner, policy) if OWN.fullmatch(inner) else policy, names)
    with blamed("policy", name):
        made = given() if isinstance(given, type) else copy.deepcopy(given)
    return made if type(made) in built_in().values() else OwnPolicy(name, made)


def listed(given: Policies) -> Policies:
    """The policies as a dict or tuple, even if only one, or an iterator, was given."""
    if isinstance(given, Mapping):
        return dict(given)
    return each_of("policy", given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)


def recorded_policies(given: Policies) -> list[str]:
    """The policies as recorded in results: text as it was given, of anything else the names."""
    each = given if isinstance(given, tuple) else ()
    texts = [policy for policy in each if isinstance(policy, str)]
    return texts if texts and len(texts) == len(each) else list(by_name(given))
