"""Shares of a GPU's peaks that programs reach."""

from __future__ import annotations

from dataclasses import dataclass

from aptsched.support.errors import InputError
from aptsched.support.shown import shown


@dataclass(frozen=True)
class Efficiency:
    """Shares of the peaks that are reached.

    Parameters
    ----------
    compute, bandwidth : float
        By default those of DistServe's fits of OPT-13B on A100-80GB: the prefill reaches 79% of the peak, the decode
        63% of the bandwidth.
    attention : float
        Share of the peak in the attention of a prefill: the quadratic term of the same fit is about 5 times the time
        of the operations at the peak.
    absorbed : float
        Share of the peak in products of absorbed attention with full tiles: as published of a kernel for multi-head
        latent attention, whose products are the same, 660 TFLOP/s of 989 (FlashMLA on H800); assumed of other GPUs.
    hidden_reads : int
        How often absorbed attention reads the hidden states: twice in two products, one after the other, once by a
        kernel that keeps them between scores and sums.
    pcie, link : float
        Shares of the bandwidths to the host and between GPUs; these are assumed.
    all_reduce_s : float
        Latency of each of the two all-reduces of a layer, in addition to the time of its bytes: about what remains
        unexplained in DistServe's fits with several GPUs.
    copy_launch_s : float
        Time to launch one copy between GPU and host: 5 to 7 microseconds as measured of `cudaMemcpyAsync` (DualPath,
        arXiv 2602.21548, section 5.2).
    """

    compute: float = 0.79
    bandwidth: float = 0.63
    attention: float = 0.18
    absorbed: float = 0.66
    hidden_reads: int = 2
    pcie: float = 0.8
    link: float = 0.6
    all_reduce_s: float = 30e-6
    copy_launch_s: float = 6e-6

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            is_number = type(value) in (int, float)
            if name == "hidden_reads":
                is_accepted, accepted = is_number and value in (1, 2), "1 or 2 is"
            elif name in ("all_reduce_s", "copy_launch_s"):
                is_accepted, accepted = is_number and 0 <= value < 1, "seconds from 0 to less than 1 are"
            else:
                is_accepted, accepted = is_number and 0 < value <= 1, "a share above 0 and up to 1 is"
            if not is_accepted:
                raise InputError(f"{name}: {shown(value)} is not accepted; {accepted}")
