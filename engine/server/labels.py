"""What headers say of a request: its objectives, how urgent it is, and whose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aptsched.scheduling.record import SLO
from aptsched.scheduling.tenant_numbers import TenantNumbers
from aptsched.support.errors import InputError
from aptsched.support.number_text import read_number
from aptsched.support.shown import shown

TTFT, TPOT, PRIORITY, TENANT = "x-slo-ttft-ms", "x-slo-tpot-ms", "x-priority", "x-tenant"
MAX_DIGITS = 64
MS = 1000.0


@dataclass(frozen=True)
class Labels:
    """Objectives, tenant and priority of a request."""

    slo: SLO
    tenant: int
    priority: int


class LabelReader:
    """Reads labels from headers.

    Parameters
    ----------
    slo : SLO
        Objectives of requests that say none.
    """

    def __init__(self, slo: SLO) -> None:
        self._slo = slo
        self._tenants = TenantNumbers()

    def read(self, headers: Mapping[str, str]) -> Labels:
        """The labels of a request.

        Raises
        ------
        InputError
            A header has a value that is not accepted, or there are too many tenants.
        """
        ttft_s, tpot_s = _ms(headers, TTFT, self._slo.ttft_s), _ms(headers, TPOT, self._slo.tpot_s)
        tenant = self._tenants.number(TENANT, headers.get(TENANT, "").strip())
        return Labels(SLO(ttft_s, tpot_s), tenant, _priority(headers))


def _ms(headers: Mapping[str, str], name: str, default_s: float) -> float:
    text = headers.get(name)
    if text is None:
        return default_s
    try:
        value_s = read_number(text, float) / MS
        SLO(value_s, value_s)
    except (ValueError, InputError):
        raise InputError(f"{name}: {shown(text)} is not accepted; milliseconds above 0, up to 1e12, are") from None
    return value_s


def _priority(headers: Mapping[str, str]) -> int:
    text = headers.get(PRIORITY, "0")
    try:
        if len(text) <= MAX_DIGITS and -(2**31) <= (value := read_number(text, int)) < 2**31:
            return value
    except ValueError:
        pass
    accepted = "a whole number, the lower the more urgent, is"
    raise InputError(f"{PRIORITY}: {shown(text)} is not accepted; {accepted}")
