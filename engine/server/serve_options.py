"""The options of `aptsched serve`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from aptsched.policies.composition import Select
from aptsched.scheduling.record import SLO
from aptsched.support.checks import is_count, seconds
from aptsched.support.errors import InputError
from aptsched.support.keywords import check_types
from aptsched.support.shown import shown
from aptsched.workload.ranges import whole
from engine.loop.limits import Limits
from engine.study.model_choice import ModelChoice
from engine.study.named_policies import Policies, listed, named_policies
from engine.study.serving import NamedPolicy
from engine.study.serving_options import ServingOptions

MAX_PORT = 65535
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True, eq=False)
class ServeOptions(ServingOptions, ModelChoice):
    """Options of `aptsched serve`, by the same names and with the same defaults.

    Parameters
    ----------
    model, cache_mem, num_blocks, swap_space, dtype, device, threads, expand_kv_heads, calibration,
    foreign_calibration, hidden_attention, rho, overlap, max_tokens, max_seqs, select
        As in `RunOptions`.
    policy : policies
        The first one decides; to the others the live page can switch.
    slo, slo_ttft, slo_tpot
        Objectives of requests whose headers say none.
    host, port : str, int
        Where to listen; port 0 takes any that is free.
    served_model_name : str, optional
        What clients call the model, in place of its own name.
    api_key : str, optional
        What clients have to send.
    max_requests : int
        Requests in the server at once, waiting or running; more are refused.
    max_iteration : float, optional
        Seconds that an iteration may take as predicted, for policies that feed prompts in chunks.
    drain : float
        Seconds that requests have to end in once the server is told to.

    Raises
    ------
    InputError
        Names the option, its value and what is accepted.
    """

    model: str = "smollm2"
    policy: Policies = ("aptserve",)
    host: str = "127.0.0.1"
    port: int = 8000
    served_model_name: str | None = None
    api_key: str | None = None
    max_requests: int = 256
    drain: float = 30.0
    max_iteration: float | None = None
    slo: str | None = None
    slo_ttft: float | None = None
    slo_tpot: float | None = None
    cache_mem: str | None = None
    num_blocks: int | None = None
    swap_space: str | None = None
    max_tokens: int = 2048
    max_seqs: int = 256
    dtype: str = "fp32"
    device: str = "cpu"
    threads: int | None = None
    expand_kv_heads: bool = False
    calibration: str | None = None
    foreign_calibration: bool = False
    hidden_attention: str = "absorbed"
    rho: float | None = None
    overlap: bool = False
    select: Mapping[str, Select] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "policy", listed(self.policy))
        _ = self.policies, self.slo_of_all, self.limits  # made now to be checked
        self._check_choice()
        if not is_count(self.port, 0, MAX_PORT):
            raise InputError(f"port: {shown(self.port)} is not accepted; a whole number from 0 to {MAX_PORT} is")
        whole("max_requests", self.max_requests)
        seconds("drain", self.drain)
        for name in ("api_key", "served_model_name"):
            given = getattr(self, name)
            if given is not None and not (given and given.isascii() and given.isprintable() and len(given) <= 256):
                raise InputError(f"{name}: {shown(given)} is not accepted; 1 to 256 printable ASCII characters are")

    @property
    def policies(self) -> list[NamedPolicy]:
        """The policies; raises InputError where one is not accepted."""
        return named_policies(self.policy, self.select)

    @property
    def slo_of_all(self) -> SLO:
        """The objectives of requests that say none."""
        return self._objectives_of(self.model)

    @property
    def has_controls(self) -> bool:
        """Whether load and policy may be changed from the live page: by whoever is here, or has the key."""
        return self.api_key is not None or self.host in LOOPBACK

    @property
    def limits(self) -> Limits:
        """The limits of an iteration."""
        return replace(super().limits, max_iteration_s=self.max_iteration)
