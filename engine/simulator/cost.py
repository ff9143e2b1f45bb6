"""The cost of an iteration: passes through the model, hidden states, swapping."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from aptsched.scheduling.forms import BLOCK_SIZE, FORM_ENTRIES, CacheForm, CacheShape, Charge, lossy_ratios
from aptsched.support import checks
from aptsched.support.errors import InputError
from aptsched.support.shown import WORD_CHARS, shown
from engine.calibration.calibration_json import load
from engine.calibration.foreign import check_simulation
from engine.calibration.measure import Calibration
from engine.calibration.points import nonnegative
from engine.models.config import ModelConfig
from engine.models.known_models import known_name
from engine.simulator.fits import DISTSERVE, MEASURED_ON, FittedCost, Line
from engine.simulator.gpus import GPU, GPUS
from engine.simulator.hidden_cost import AbsorbedCost, absorbed_cost, gather_s, rebuild_s_per_token
from engine.simulator.precision import BITS_16, Precision
from engine.simulator.roofline import roofline, swap_s_per_block
from engine.simulator.work import Amount, CostModel, Work, choose, larger


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
    absorbed : AbsorbedCost or None
        Attention over hidden states; without it K and V are rebuilt from them in every iteration.
    gather_s : float
        For gathering hidden states from several GPUs, in an iteration in which any K and V are rebuilt.
    unmeasured : tuple of CacheForm
        Forms with a charge that the calibration has no iteration in: reading them takes no more than their bytes.
    """

    passes: CostModel
    rebuild_s_per_token: float
    swap_s_per_block: float
    source: str
    notices: tuple[str, ...] = ()
    dequantise_s_per_token: float = 0.0
    absorbed: AbsorbedCost | None = None
    gather_s: float = 0.0
    unmeasured: tuple[CacheForm, ...] = ()

    def __post_init__(self) -> None:
        for name in ("rebuild_s_per_token", "swap_s_per_block", "dequantise_s_per_token", "gather_s"):
            checks.seconds(name, getattr(self, name))

    @property
    def absorb_up_to(self) -> int:
        """The most new tokens of a request for which attention over its hidden states is absorbed; 0 for none."""
        return 0 if self.absorbed is None else self.absorbed.up_to

    def seconds(self, work: Work) -> Amount:
        """Seconds of each iteration."""
        return (
            self._passes_s(work)
            + self.rebuild_s_per_token * work.rebuilt_tokens
            + self.swap_s_per_block * work.swapped_blocks
            + self.dequantise_s_per_token * work.dequantised_tokens
            + choose(work.rebuilt_tokens > 0, self.gather_s, 0.0)
        )

    def _passes_s(self, work: Work) -> Amount:
        """Seconds of passes and absorbed attention, which takes the longer of reading hidden states and multiplying."""
        passes_s, absorbed = self.passes.seconds(work), self.absorbed
        if absorbed is None or (isinstance(work.absorbed_pairs, int) and not work.absorbed_pairs):
            return passes_s
        read = replace(work, context_tokens=work.context_tokens + absorbed.read_share * work.absorbed_tokens)
        longer_s = larger(self.passes.seconds(read), passes_s + absorbed.multiplied_s(work))
        return longer_s + absorbed.beside_s(work)

    def rebuilding(self) -> Cost:
        """The same cost where K and V are rebuilt from hidden states in every iteration, as in Apt-Serve."""
        return replace(self, absorbed=None)

    def with_rho(self, rho_s_per_block: float) -> Cost:
        """The same cost where rebuilding a block takes so long, as is done in every iteration, on however many GPUs.

        What policies believe is set elsewhere.
        """
        checks.seconds("executed_rho", rho_s_per_block)
        unmeasured = tuple(form for form in self.unmeasured if form != CacheForm.HIDDEN)
        rebuilt_s = rho_s_per_block / BLOCK_SIZE
        source = f"{self.source}; blocks are rebuilt in {rho_s_per_block:g} s, as given"
        found = replace(self.rebuilding(), rebuild_s_per_token=rebuilt_s, gather_s=0.0)
        return replace(found, source=source, unmeasured=unmeasured)


def by_fits(config: ModelConfig, gpu: GPU, num_gpus: int = 1) -> Cost:
    """The cost by published fits: DistServe's of OPT on A100; OPT-30B, which they lack, by the roofline.

    The fits were measured on A100-80GB. On A100-40GB, with the same cores and a slower memory, a decode's reads of
    weights and cache take longer by the ratio of the bandwidths. Rebuilding and swapping are not in the fits: they are
    computed.

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
        slower = GPUS[MEASURED_ON].bandwidth_bytes_per_s / gpu.bandwidth_bytes_per_s
        fit, source = fit.slower_memory(slower), f"{source}, reads of memory {slower:.2f} times as long on {gpu.name}"
    return _with_computed(fit, config, gpu, num_gpus, f"{source}; rebuilding and swapping by roofline of {gpu.name}")


def by_roofline(config: ModelConfig, gpu: GPU, num_gpus: int = 1, precision: Precision = BITS_16) -> Cost:
    """The cost by the roofline of the model on that GPU."""
    source = f"roofline of {config.name} on {num_gpus} x {gpu.name}"
    if precision != BITS_16:
        source += f", weights of {precision.weight_bytes:g} and K and V of {precision.kv_bytes:g} bytes a number"
    return _with_computed(roofline(config, gpu, num_gpus, precision), config, gpu, num_gpus, source, precision)


def _with_computed(
    passes: CostModel, config: ModelConfig, gpu: GPU, num_gpus: int, source: str, precision: Precision = BITS_16
) -> Cost:
    """The cost of these passes, with what is computed beside them."""
    return Cost(
        passes,
        rebuild_s_per_token(config, gpu, num_gpus, precision),
        swap_s_per_block(config, gpu, num_gpus, precision),
        source,
        absorbed=absorbed_cost(config, gpu, num_gpus, precision),
        gather_s=gather_s(config, gpu, num_gpus),
    )


def by_profile(calibration: Calibration, cache: CacheShape) -> Cost:
    """The cost by what `aptsched calibrate` measured of our own engine, with separate fits of prefill and decode.

    The fits to the points of the file have the form of the published ones, weighted so that all points count by their
    relative error. The measured time of a form that is read at the price of its own bytes includes the time that the
    smaller read saves, by the ratio of the cache. Where attention over hidden states was absorbed, a token costs for
    each new one what it cost a decode.

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
    hidden_s = _per_token(calibration, Charge.ABSORB, saved)
    absorbed = None
    if calibration.absorb_up_to:
        read_s = _per_token(calibration, Charge.ABSORB, {Charge.ABSORB: line.first_s})
        absorbed = AbsorbedCost(calibration.absorb_up_to, read_share=0.0, s_per_token=0.0, s_per_pair=read_s)
        hidden_s = calibration.times.rebuild_s_per_block / BLOCK_SIZE
    return Cost(
        FittedCost(_line(prefill), line),
        hidden_s,
        calibration.swap_s_per_block,
        source,
        absorbed=absorbed,
        dequantise_s_per_token=_per_token(calibration, Charge.DEQUANTISE, saved),
        unmeasured=_unmeasured(calibration),
    )


def _unmeasured(calibration: Calibration) -> tuple[CacheForm, ...]:
    """The forms for whose reading there is a charge, and that no iteration of the calibration reads."""
    charged = (entry.form for entry in FORM_ENTRIES if entry.charge is not Charge.NOTHING)
    return tuple(form for form in charged if not any(p.kv_blocks_by_form[form] for p in calibration.points))


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
    precision: Precision = BITS_16,
    foreign: bool = False,
) -> Cost:
    """The cost by name: "fits", "roofline" or a calibration file; None is fits where there are any, else roofline.

    Raises
    ------
    InputError
        As in `by_fits`; fits are asked for with other than 16 bits; or the file is no calibration, or is one of another
        model and `foreign` is not set.
    """
    if kind is None:
        published = gpu.name.startswith("a100-") and (known_name(config), num_gpus) in DISTSERVE
        kind = "fits" if published and precision == BITS_16 else "roofline"
    if kind == "fits":
        if precision != BITS_16:
            raise InputError("cost: fits are published for weights, K and V of 2 bytes; --cost roofline takes any")
        return by_fits(config, gpu, num_gpus)
    if kind == "roofline":
        return by_roofline(config, gpu, num_gpus, precision)
    if not os.path.lexists(kind):
        accepted = "fits, roofline or a file of `aptsched calibrate` are accepted"
        raise InputError(f"cost: {shown(kind, WORD_CHARS)} is not known; {accepted}")
    measured = load(kind)
    held = config.cache(Fraction(precision.kv_bytes)).with_forms(lossy_ratios(config, Fraction(precision.kv_bytes)))
    said = check_simulation(measured, config.name, gpu.name, num_gpus, foreign=foreign)
    if not measured.absorb_up_to and any(point.num_blocks_with(Charge.ABSORB) for point in measured.points):
        said.append(
            "The calibration is of hidden states whose K and V are rebuilt, as they are here in each iteration."
        )
    return replace(by_profile(measured, held), notices=tuple(said))
