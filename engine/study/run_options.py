"""The options of a study on a real model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aptsched.policies.composition import Select
from aptsched.problem.certificate_log import check_kind
from aptsched.scheduling.record import SLO
from aptsched.support.keywords import as_given
from engine.study.arrival_source import ArrivalSource
from engine.study.model_choice import ModelChoice
from engine.study.named_policies import Policies, named_policies
from engine.study.serving import NamedPolicy
from engine.study.serving_options import ServingOptions


@dataclass(frozen=True, kw_only=True, eq=False)
class RunOptions(ServingOptions, ModelChoice):
    """Options of `aptsched run`, by the same names and with the same defaults.

    Parameters
    ----------
    model : str
        "smollm2", a Hugging Face directory or a Llama .gguf file.
    trace : str or os.PathLike, optional
        As in `SimulateOptions`, but a file alone.
    policy, workload, rate, cv, num_requests, slo, slo_ttft, slo_tpot, max_tokens, max_seqs, seed, certificates, select
        As in `SimulateOptions`, except that the default number of requests is 100.
    max_prompt_tokens, max_output_tokens : int, optional
        Longer prompts and outputs are clipped.
    cache_mem : str, optional
        Memory of the cache, such as "1.5GiB".
    num_blocks : int, optional
        Blocks of the cache, in place of `cache_mem`.
    swap_space : str, optional
        Host memory for requests that are swapped out; by default as much as the cache.
    dtype, device : str
        Dtype and device of weights and cache.
    threads : int, optional
        Threads of torch on a CPU.
    expand_kv_heads : bool
        Whether to make the exact MHA twin of a GQA model.
    calibration : str, optional
        A file of `aptsched calibrate`; without it and without `rho` the model is measured first.
    foreign_calibration : bool
        Whether a calibration of another model, dtype or device is accepted.
    hidden_attention : str
        How hidden states are read: "absorbed", or "rebuilt", as in Apt-Serve.
    rho : float, optional
        Seconds to rebuild K and V of a block, in place of the measured time.
    overlap : bool
        Whether the next iteration is decided while one runs.

    Raises
    ------
    InputError
        Names the option, its value and what is accepted.
    """

    model: str = "smollm2"
    policy: Policies = ("fcfs,aptserve",)
    trace: str | None = None
    workload: str | None = None
    rate: str | float | Iterable[str | float] | None = None
    cv: float | None = None
    num_requests: int | None = None
    slo: str | None = None
    slo_ttft: float | None = None
    slo_tpot: float | None = None
    max_prompt_tokens: int | None = None
    max_output_tokens: int | None = None
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
    seed: int = 0
    certificates: str = "plain"
    select: Mapping[str, Select] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_given()
        _ = self.policies, self.source, self.rates_per_s, self.slo_of_all, self.limits  # made now to be checked
        check_kind(self.certificates)
        self._check_choice()

    @property
    def policies(self) -> list[NamedPolicy]:
        """The policies; raises InputError where one is not accepted."""
        return named_policies(self.policy, self.select)

    @property
    def slo_of_all(self) -> SLO:
        """The objectives of requests that have none of their own."""
        return self._objectives_of(self.model)

    @property
    def source(self) -> ArrivalSource:
        """The source of the requests."""
        return ArrivalSource(
            self.trace,
            self.workload,
            self.num_requests,
            self.cv,
            self.seed,
            max_prompt_tokens=self.max_prompt_tokens,
            max_output_tokens=self.max_output_tokens,
        )

    def recorded(self, out: str | None = None, as_json: bool = False) -> dict[str, Any]:
        """The options as results have them, in order: plain values, with two of the command's own."""
        given = as_given(self, leave_out=["certificates", "select"]) | self._recorded_plainly()
        return given | {"out": out, "certificates": self.certificates, "as_json": as_json}
