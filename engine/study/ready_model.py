"""A model that is loaded and measured, with memory for its cache: how commands that run one begin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.byte_sizes import CACHE_MEM
from engine.calibration.measure import Calibration
from engine.loop.limits import Limits
from engine.models.hidden_attention import REBUILT, absorb_limit
from engine.models.model import Model, load_model
from engine.runner.cache_storage import block_bytes
from engine.session import cache_memory
from engine.study import real_model
from engine.study.model_choice import KnownTimes, ModelChoice
from engine.study.serving import NamedPolicy, Server
from engine.study.swap_space import host_blocks

Calibrate = Callable[[Model, str], Calibration]


@dataclass(frozen=True, eq=False)
class ReadyModel:
    """A model, the memory that its cache may have, and how long its iterations take.

    Attributes
    ----------
    model : Model
    num_blocks, num_host_blocks : int
    times : IterationTime
    measured : Calibration or None
        Where `times` are from; None where only `rho` was given.
    is_new : bool
        Whether it was measured just now.
    is_calibrated : bool
        Whether `times` are those of this model here.
    absorb_up_to : int or None
        As in `TorchExecutor`.
    notices : tuple of str
    """

    model: Model
    num_blocks: int
    num_host_blocks: int
    times: IterationTime
    measured: Calibration | None
    is_new: bool
    is_calibrated: bool
    absorb_up_to: int | None
    notices: tuple[str, ...]

    def server(self, limits: Limits, policies: Sequence[NamedPolicy]) -> Server:
        """The server of the model, with those lossy forms that any of the policies wants; errors as `live_server`."""
        return real_model.live_server(
            self.model,
            self.num_blocks,
            limits,
            self.times,
            self.num_host_blocks,
            self.is_calibrated,
            policies,
            self.absorb_up_to,
        )


def ready_model(options: ModelChoice, known: KnownTimes, calibrate: Calibrate) -> ReadyModel:
    """Load the model of the options, and measure it where they do not say how long iterations take.

    Parameters
    ----------
    options : ModelChoice
    known : KnownTimes
        Of these options.
    calibrate : callable
        Measures the model, whose hidden states are read in the way that is named.
    """
    real_model.set_threads(options.threads)
    model = load_model(options.model, options.dtype, options.device, options.expand_kv_heads)
    num_blocks, num_host_blocks = _blocks(options, model)
    measured, times = known.measured, known.times
    if times is None:
        measured = calibrate(model, options.hidden_attention)
        times = measured.times
    return ReadyModel(
        model=model,
        num_blocks=num_blocks,
        num_host_blocks=num_host_blocks,
        times=times,
        measured=measured,
        is_new=known.times is None,
        is_calibrated=measured is not None and not known.notices,
        absorb_up_to=absorb_limit(options.hidden_attention, None if measured is None else measured.absorb_up_to),
        notices=(*known.notices, *_rebuilt(options, measured)),
    )


def _rebuilt(options: ModelChoice, measured: Calibration | None) -> list[str]:
    """A notice where hidden states are to be absorbed, and are rebuilt because they were when that was measured."""
    if measured is None or measured.absorb_up_to or options.hidden_attention == REBUILT or measured.r_squared is None:
        return []
    return ["The calibration is of hidden states whose K and V are rebuilt: so they are here. A new one absorbs."]


def _blocks(options: ModelChoice, model: Model) -> tuple[int, int]:
    """Blocks of the cache, and of the swap space, which has as many unless it is given."""
    count = options.num_blocks
    if count is None:
        count = cache_memory.num_blocks(model, options.cache_mem or CACHE_MEM)
    if options.swap_space is None:
        return count, count
    return count, host_blocks(options.swap_space, block_bytes(model.config, model.decoder.dtype))
