"""What whoever sends a request to vLLM says of it, in `vllm_xargs`: objectives, tenant and priority."""

from __future__ import annotations

from typing import Any

from aptsched.scheduling.record import SLO
from aptsched.scheduling.tenant_numbers import TenantNumbers
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.state.request import Request

NAMES = ("slo_ttft_s", "slo_tpot_s", "tenant", "priority")


class Labels:
    """Makes requests for the policies of vLLM's own.

    Parameters
    ----------
    slo : SLO
        Of requests that name no objectives.
    max_context : int
        Most tokens of a request, prompt and output.
    """

    def __init__(self, slo: SLO, max_context: int) -> None:
        self._slo, self._max_context = slo, max_context
        self._tenants = TenantNumbers()

    def request(self, number: int, core: Any) -> Request:
        """The request of this number, as vLLM describes it.

        Raises
        ------
        InputError
            What `vllm_xargs` say of it is not accepted.
        """
        said = getattr(core.sampling_params, "extra_args", None) or {}
        seconds = {name: said.get(name, getattr(self._slo, name.removeprefix("slo_"))) for name in NAMES[:2]}
        tenant, priority = said.get("tenant", ""), said.get("priority", core.priority)
        for name, value in seconds.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InputError(f"{name}: {shown(value)} is not accepted; a number of seconds is")
        if isinstance(tenant, bool) or not isinstance(tenant, str | int):
            raise InputError(f"tenant: {shown(tenant)} is not accepted; a text or a whole number is")
        if isinstance(priority, bool) or not isinstance(priority, int) or abs(priority) >= 2**31:
            raise InputError(f"priority: {shown(priority)} is not accepted; a whole number is")
        return Request(
            number,
            core.arrival_time,
            core.num_prompt_tokens,
            slo=SLO(seconds["slo_ttft_s"], seconds["slo_tpot_s"]),
            tenant=self._tenants.number("tenant", str(tenant)),
            priority=priority,
            cap_tokens=min(core.num_prompt_tokens + core.max_tokens, self._max_context),
        )
