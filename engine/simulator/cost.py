"""The cost of an iteration: passes through the model, rebuilding, swapping; and what policies may believe of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from aptsched.scheduling.forms import BLOCK_SIZE, FORM_ENTRIES, CacheShape, Charge, lossy_ratios
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support import checks
from aptsched.support.errors import InputError
from aptsched.support.shown import WORD_CHARS, shown
from engine.calibration.foreign import check_simulation
from engine.calibration.measure import Calibration, load
from engine.calibration.points import nonnegative
from engine.models.config import ModelConfig
from engine.models.known_models import known_name
from engine.simulator.fits import DISTSERVE, MEASURED_ON, FittedCost, Line
from engine.simulator.gpus import GPU, NUMBER_BYTES
from engine.simulator.roofline import Efficiency, rebuild_s_per_token, roofline, swap_s_per_block
from engine.simulator.work import Amount, CostModel, Work

TYPICAL_PREFILL = 1024  # tokens of the prefill from which the believed time of a token is taken
TYPICAL_CONTEXT = 4096


@dataclass(frozen=True)
class Cost:
    """Seconds of an iteration.

    Parameters
    ----------
    passes : CostModel
        Prefill and decode with a KV cache.
    rebuild_s_per_token : float
        For each token whose K and V are rebuilt, whether to read or to keep them: both take the K and V projections.
    swap_s_per_block : float
        For each block that moves between GPU and host; it overlaps with nothing.
    source : str
        Where the figures come from, in words.
    notices : tuple of str
        Notices about the calibration that the figures come from, if it is one.
    dequantise_s_per_token : float
        For each token whose K and V are dequantised to be read, in addition to reading its bytes. In the roofline it
        is 0: a kernel multiplies by the scales in registers, while it waits for memory.
    """

    passes: CostModel
    rebuild_s_per_token: float
    swap_s_per_block: float
    source: str
    notices: tuple[str, ...] = ()
    dequantise_s_per_token: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rebuild_s_per_token", "swap_s_per_block", "dequantise_s_per_token"):
            checks.seconds(name, getattr(self, name))

    def seconds(self, work: Work) -> Amount:
        """Seconds of each iteration."""
        return (
            self.passes.seconds(work)
            + self.rebuild_s_per_token * work.rebuilt_tokens
            + self.swap_s_per_block * work.swapped_blocks
            + self.dequantise_s_per_token * work.dequantised_tokens
        )

    def with_rho(self, rho_s_per_block: float) -> Cost:
        """The same cost with another true time to rebuild a block; what policies believe is set elsewhere."""
        checks.seconds("executed_rho", rho_s_per_block)
        return replace(self, rebuild_s_per_token=rho_s_per_block / BLOCK_SIZE)


def by_fits(config: ModelConfig, gpu: GPU, num_gpus: int = 1) -> Cost:
    """The cost by published fits: DistServe's of OPT on A100; OPT-30B, which they lack, by the roofline.

    The fits were measured on A100-80GB and are used unchanged for A100-40GB too, whose memory is slower by a quarter.
    Rebuilding and swapping are not in the fits: they are computed.

    A model is recognised by its sizes, not by its name.

    Raises
    ------
    InputError
        There is no published fit for this model on this GPU.
    """
    name = known_name(config)
    fit = DISTSERVE.get((name, num_gpus))
    if not gpu.name.startswith("a100-") or (fit is None and name != "opt-30b"):
        accepted = ", ".join(f"{fitted} on {n}" for fitted, n in DISTSERVE)
        raise InputError(
            f"cost: no fits are published for {config.name} on {num_gpus} x {gpu.name}; {accepted} x A100 are, and "
            "opt-30b there by roofline; --cost roofline takes any"
        )
    if fit is None:
        return by_roofline(config, gpu, num_gpus)
    source = f"fits of DistServe (OSDI 2024) of {name} on {num_gpus} x {MEASURED_ON}"
    if gpu.name != MEASURED_ON:
        source += f", taken as they are for {gpu.name}"
    return Cost(
        fit,
        *_computed(config, gpu, num_gpus),
        f"{source}; rebuilding and swapping by roofline of {gpu.name}",
    )


def by_roofline(
    config: ModelConfig,
    gpu: GPU,
    num_gpus: int = 1,
    efficiency: Efficiency | None = None,
) -> Cost:
    """The cost by the roofline of the model on that GPU."""
    passes = roofline(config, gpu, num_gpus, efficiency)
    computed = _computed(config, gpu, num_gpus, efficiency)
    return Cost(passes, *computed, f"roofline of {config.name} on {num_gpus} x {gpu.name}")


def _computed(
    config: ModelConfig, gpu: GPU, num_gpus: int, efficiency: Efficiency | None = None
) -> tuple[float, float]:
    return (
        rebuild_s_per_token(config, gpu, num_gpus, efficiency),
        swap_s_per_block(config, gpu, num_gpus, efficiency),
    )


def by_profile(calibration: Calibration, cache: CacheShape) -> Cost:
    """The cost by what `aptsched calibrate` measured of our own engine, with separate fits of prefill and decode.

    The fits to the points of the file have the form of the published ones, weighted so that all points count by their
    relative error. The measured time of a form that is read at the price of its own bytes includes the time that the
    smaller read saves, by the ratio of the cache.

    Raises
    ------
    InputError
        The calibration has no prefill or no decode.
    """
    plain = [point for point in calibration.points if not any(point.kv_blocks_by_form)]
    prefill = [(p.num_tokens, p.num_tokens**2, p.seconds) for p in plain if not p.num_context_tokens]
    decode = [(p.num_context_tokens, p.num_tokens, p.seconds) for p in plain if p.num_context_tokens]
    if not prefill or not decode:
        raise InputError("cost: a calibration without prefills or without decodes is not accepted; one with both is")
    line = _line(decode)
    saved = {e.charge: (1 - cache.read_share[e.form]) * line.first_s for e in FORM_ENTRIES if e.form in cache.offered}
    source = f"calibration of {calibration.model} in {calibration.dtype} on {calibration.device}"
    return Cost(
        FittedCost(_line(prefill), line),
        _per_token(calibration, Charge.REBUILD, saved),
        calibration.swap_s_per_block,
        source,
        dequantise_s_per_token=_per_token(calibration, Charge.DEQUANTISE, saved),
    )


def _per_token(calibration: Calibration, charge: Charge, saved: Mapping[Charge, float]) -> float:
    """Seconds of a charge for each cached token, without the read that it saves; 0 where it was not measured."""
    points = [(p.num_context_tokens, p.extra_s) for p in calibration.points if p.num_blocks_with(charge)]
    squares = sum(tokens**2 for tokens, _ in points)
    if not squares:
        return 0.0
    return max(0.0, sum(tokens * extra_s for tokens, extra_s in points) / squares + saved.get(charge, 0.0))


def _line(points: list[tuple[int, int, float]]) -> Line:
    rows = [[1 / seconds, first / seconds, second / seconds] for first, second, seconds in points]
    return Line(*nonnegative(rows, [1.0] * len(rows)))


def find_cost(
    kind: str | None,
    config: ModelConfig,
    gpu: GPU,
    num_gpus: int = 1,
    *,
    foreign: bool = False,
) -> Cost:
    """The cost by name: "fits", "roofline" or a calibration file; None is fits where there are any, else roofline.

    Raises
    ------
    InputError
        As in `by_fits`; or the file is no calibration, or is one of another model and `foreign` is not set.
    """
    if kind is None:
        published = gpu.name.startswith("a100-") and (known_name(config), num_gpus) in DISTSERVE
        kind = "fits" if published else "roofline"
    if kind == "fits":
        return by_fits(config, gpu, num_gpus)
    if kind == "roofline":
        return by_roofline(config, gpu, num_gpus)
    if not os.path.lexists(kind):
        accepted = "fits, roofline or a file of `aptsched calibrate` are accepted"
        raise InputError(f"cost: {shown(kind, WORD_CHARS)} is not known; {accepted}")
    measured = load(kind)
    held = config.cache().with_forms(lossy_ratios(config, NUMBER_BYTES))
    said = check_simulation(measured, config.name, gpu.name, num_gpus, foreign=foreign)
    return replace(by_profile(measured, held), notices=tuple(said))


def believed(cost: Cost, rho_s_per_block: float | None = None) -> IterationTime:
    """The cost as policies may believe it: one linear function, fitted to a single decode and a typical prefill.

    Parameters
    ----------
    rho_s_per_block : float, optional
        Believed in place of the true time.
    """
    fixed_s = float(cost.seconds(Work(decode_seqs=1)))
    prefill_s = float(cost.seconds(Work(prefill_tokens=TYPICAL_PREFILL, prefill_squares=TYPICAL_PREFILL**2)))
    context_s = float(cost.seconds(Work(decode_seqs=1, context_tokens=TYPICAL_CONTEXT))) - fixed_s
    rho = BLOCK_SIZE * cost.rebuild_s_per_token
    per_token_s, per_context_s = max(0.0, prefill_s - fixed_s) / TYPICAL_PREFILL, context_s / TYPICAL_CONTEXT
    times = IterationTime(fixed_s, per_token_s, per_context_s, rho, BLOCK_SIZE * cost.dequantise_s_per_token, rho)
    return times if rho_s_per_block is None else times.with_rebuilding(rho_s_per_block)
