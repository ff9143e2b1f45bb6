"""Which model a command runs, and what is known of its times: options that are checked before torch is imported."""

from __future__ import annotations

from dataclasses import dataclass

from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.byte_sizes import parse_bytes
from aptsched.support.errors import InputError
from engine.calibration import calibration_json
from engine.calibration.foreign import check_given, check_run
from engine.calibration.measure import Calibration
from engine.models.hidden_attention import REBUILT, check_hidden_attention
from engine.models.model_names import model_name
from engine.state.blocks import check_counts


@dataclass(frozen=True)
class KnownTimes:
    """What options say of times before the model is loaded.

    Attributes
    ----------
    times : IterationTime or None
        None where the model has to be measured.
    measured : Calibration or None
        The calibration that they are from.
    notices : tuple of str
        That it is of another model, dtype or device, and accepted.
    """

    times: IterationTime | None
    measured: Calibration | None
    notices: tuple[str, ...]


class ModelChoice:
    """What the options of commands that run a model have in common; frozen dataclasses have them as fields."""

    model: str
    cache_mem: str | None
    num_blocks: int | None
    swap_space: str | None
    dtype: str
    device: str
    threads: int | None
    expand_kv_heads: bool
    calibration: str | None
    foreign_calibration: bool
    hidden_attention: str
    rho: float | None

    def _check_choice(self) -> None:
        """Raises InputError where an option of these is not accepted, or does not go with another."""
        check_hidden_attention(self.hidden_attention)
        if self.calibration is None:
            check_given(self.foreign_calibration, None)
        _check_memory(self.cache_mem, self.num_blocks, self.swap_space)

    def known_times(self) -> KnownTimes:
        """The times of the options' file, with their `rho` if given; with `rho` alone, times of only that.

        Where hidden states were absorbed when it was measured and are not now, K and V take in each iteration what they
        take once.
        """
        rho = self.rho
        if self.calibration is None:
            return KnownTimes(None if rho is None else IterationTime().with_rebuilding(rho), None, ())
        known = calibration_json.load(self.calibration)
        name = model_name(self.model, self.expand_kv_heads)
        foreign = check_run(known, name, self.dtype, self.device, foreign=self.foreign_calibration)
        if rho is None and known.absorb_up_to and self.hidden_attention == REBUILT:
            rho = known.times.rebuild_s_per_block
        times = known.times if rho is None else known.times.with_rebuilding(rho)
        return KnownTimes(times, known, tuple(foreign))


def _check_memory(cache_mem: str | None, num_blocks: int | None, swap_space: str | None) -> None:
    """Check these options before a model is loaded; at most one of the first two may be given.

    Raises
    ------
    InputError
        Both are given, or a size or number is not accepted.
    """
    if cache_mem is not None and num_blocks is not None:
        raise InputError("cache_mem, num_blocks: both are given; one of them is accepted")
    if cache_mem is not None:
        parse_bytes("cache_mem", cache_mem)
    if swap_space is not None:
        parse_bytes("swap_space", swap_space)
    if num_blocks is not None:
        check_counts(num_blocks, 0)
