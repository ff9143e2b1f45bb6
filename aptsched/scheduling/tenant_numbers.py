"""Tenants by number, as policies see them, where their names come one by one."""

from __future__ import annotations

from aptsched.support.errors import InputError
from aptsched.support.shown import shown

MAX_TENANTS = 10_000  # names that are told apart, so that memory is bounded
MAX_NAME = 64  # characters


class TenantNumbers:
    """Numbers tenants in the order in which they come; 0 is the one without a name."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {"": 0}

    def number(self, field: str, name: str) -> int:
        """The number of a tenant, the same each time.

        Raises
        ------
        InputError
            The name is too long, or there are too many; `field` is what the message begins with.
        """
        known = self._numbers.get(name)
        if known is not None:
            return known
        if len(name) > MAX_NAME:
            raise InputError(f"{field}: {shown(name)} is not accepted; up to {MAX_NAME} characters are")
        if len(self._numbers) > MAX_TENANTS:
            raise InputError(f"{field}: {shown(name)} is not accepted; {MAX_TENANTS} names are told apart, no more")
        return self._numbers.setdefault(name, len(self._numbers))
