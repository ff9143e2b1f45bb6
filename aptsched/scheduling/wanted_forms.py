"""The forms of cache that a policy asks for; a lossy form is only offered if it does."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from aptsched.scheduling.forms import FORM_ENTRIES, CacheForm, entry_of
from aptsched.scheduling.plan import Policy
from aptsched.support.errors import InputError
from aptsched.support.shown import shown


def wanted_forms(policy: Policy) -> tuple[CacheForm, ...]:
    """The forms of a policy's attribute `wanted_forms`; empty if it has no such attribute.

    Raises
    ------
    InputError
        The attribute is no list or tuple of forms.
    """
    wanted = getattr(policy, "wanted_forms", ())
    known = [entry.form for entry in FORM_ENTRIES]
    if not isinstance(wanted, list | tuple) or not all(isinstance(form, int) and form in known for form in wanted):
        accepted = ", ".join(f"CacheForm.{entry.form.name}" for entry in FORM_ENTRIES)
        raise InputError(f"wanted_forms: {shown(wanted)} is not accepted; a tuple of {accepted} is")
    return tuple(map(CacheForm, wanted))


def lossy_wanted(policy: Policy, ratios: Mapping[CacheForm, Fraction]) -> dict[CacheForm, Fraction]:
    """The lossy forms that a policy asks for, with their ratios, out of those in `ratios`.

    Raises
    ------
    InputError
        It asks for a lossy form that is not in `ratios`.
    """
    wanted = [form for form in wanted_forms(policy) if entry_of(form).is_lossy]
    for form in wanted:
        if form not in ratios:
            held = ", ".join(entry.name for entry in FORM_ENTRIES if entry.form in ratios or not entry.is_lossy)
            raise InputError(f"wanted_forms: {entry_of(form).name} is not accepted; this server holds {held}")
    return {form: ratios[form] for form in wanted}
