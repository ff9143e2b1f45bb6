"""Which forms of cache a policy asks for: a lossy one is offered to it for that alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from aptsched.scheduling.forms import FORM_ENTRIES, CacheForm, entry_of
from aptsched.scheduling.plan import Policy
from aptsched.support.errors import InputError
from aptsched.support.shown import shown


def wanted_forms(policy: Policy) -> tuple[CacheForm, ...]:
    """The forms of its attribute `wanted_forms`; none where it has no such attribute.

    Raises
    ------
    InputError
        It is no list or tuple of forms.
    """
    wanted = getattr(policy, "wanted_forms", ())
    if not isinstance(wanted, list | tuple) or not set(wanted) <= {entry.form for entry in FORM_ENTRIES}:
        accepted = ", ".join(f"CacheForm.{entry.form.name}" for entry in FORM_ENTRIES)
        raise InputError(f"wanted_forms: {shown(wanted)} is not accepted; a tuple of {accepted} is")
    return tuple(map(CacheForm, wanted))


def lossy_forms(policies: Iterable[Policy]) -> list[CacheForm]:
    """The lossy forms that any of the policies asks for, in order."""
    return sorted({form for policy in policies for form in wanted_forms(policy) if entry_of(form).is_lossy})


def lossy_wanted(policy: Policy, ratios: Mapping[CacheForm, Fraction]) -> dict[CacheForm, Fraction]:
    """The lossy forms that a policy asks for, with their ratios; those that are held here are given.

    Raises
    ------
    InputError
        It asks for another one.
    """
    wanted = [form for form in wanted_forms(policy) if entry_of(form).is_lossy]
    for form in wanted:
        if form not in ratios:
            held = ", ".join(entry.name for entry in FORM_ENTRIES if entry.form in ratios or not entry.is_lossy)
            raise InputError(f"wanted_forms: {entry_of(form).name} is not accepted; this server holds {held}")
    return {form: ratios[form] for form in wanted}
