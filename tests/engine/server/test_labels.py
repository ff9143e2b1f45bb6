"""What headers say of a request is what the policy sees of it."""

from __future__ import annotations

from typing import Any

import pytest

from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.record import SLO
from aptsched.scheduling.tenant_numbers import MAX_TENANTS
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from engine.server.labels import LabelReader
from http_server import SLO_OF_ALL, serving


class Seeing:
    """First come, first served; keeps what it saw of each request."""

    def __init__(self) -> None:
        self.seen = dict[int, tuple[float, float, int, int]]()

    def decide(self, view: View) -> Plan:
        """The plan of FCFS."""
        for row in range(len(view.request_id)):
            values = (view.slo_ttft_s[row], view.slo_tpot_s[row], view.priority[row], view.tenant[row])
            self.seen[int(view.request_id[row])] = (float(values[0]), float(values[1]), int(values[2]), int(values[3]))
        return FCFS().decide(view)


def test_a_policy_sees_objectives_priority_and_tenant() -> None:
    """Of requests without headers those of the server; tenants are numbered as they come."""
    seeing = Seeing()
    with serving(seeing) as served:
        body: dict[str, Any] = {"prompt": "ab", "max_tokens": 2, "ignore_eos": True}
        every = {"x-slo-ttft-ms": "250", "x-slo-tpot-ms": "12.5", "x-priority": "-3", "x-tenant": "a"}
        for headers in ({}, every, {"x-tenant": "b"}, {"X-Tenant": "a"}):
            assert served.complete(headers, **body).status_code == 200
    default = (SLO_OF_ALL.ttft_s, SLO_OF_ALL.tpot_s)
    assert list(seeing.seen.values()) == [(*default, 0, 0), (0.25, 0.0125, -3, 1), (*default, 0, 2), (*default, 0, 1)]


@pytest.mark.parametrize("header", ["x-slo-ttft-ms", "x-slo-tpot-ms", "x-priority"])
@pytest.mark.parametrize("value", ["1_0", "\u0661\u0662", "\uff11"])
def test_numbers_have_plain_digits(header: str, value: str) -> None:
    """As everywhere else: neither underscores nor digits of another script."""
    with pytest.raises(InputError, match=f"^{header}: .* is not accepted"):
        LabelReader(SLO()).read({header: value})


def test_names_of_tenants_take_bounded_memory() -> None:
    """Beyond the bound new ones are refused by name, and known ones accepted."""
    reader = LabelReader(SLO())
    tenants = [reader.read({"x-tenant": str(number)}).tenant for number in range(MAX_TENANTS)]
    assert tenants == list(range(1, MAX_TENANTS + 1))
    with pytest.raises(InputError, match="x-tenant: 'one more' is not accepted"):
        reader.read({"x-tenant": "one more"})
    assert reader.read({"x-tenant": "5"}).tenant == 6
