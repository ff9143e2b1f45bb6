"""Objectives by name, as others serve and measure with them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from aptsched.scheduling.record import SLO
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

ANY_MODEL: Mapping[str, SLO] = MappingProxyType({"chat": SLO(1.0, 0.2), "paper": SLO(1.0, 1.0)})
BY_MODEL: Mapping[str, Mapping[str, SLO]] = MappingProxyType(
    {
        "mlperf-server": {"llama-3.1-8b": SLO(2.0, 0.1), "llama-2-70b": SLO(2.0, 0.2)},
        "mlperf-interactive": {"llama-3.1-8b": SLO(0.5, 0.03), "llama-2-70b": SLO(0.45, 0.04)},
    }
)


def preset(name: str, model: str) -> SLO:
    """The objectives of that name for a model.

    Parameters
    ----------
    name : str
        "chat": about five tokens a second, as people read. "paper": Apt-Serve's 1 s and 1 s. "mlperf-server" and
        "mlperf-interactive": those of MLPerf Inference, which has them of two models.
    model : str
        Its name, or a path that ends in it, such as "meta-llama/Llama-2-70b-chat-hf".

    Raises
    ------
    InputError
        An unknown name, or a model that has no such pair.
    """
    if name in ANY_MODEL:
        return ANY_MODEL[name]
    if name not in BY_MODEL:
        raise InputError(f"slo: {shown(name)} is not known; {', '.join([*ANY_MODEL, *BY_MODEL])} are accepted")
    found = [slo for known, slo in BY_MODEL[name].items() if known in model.lower()]
    if not found:
        raise InputError(f"slo: {name} has no pair of {shown(model)}; of {', '.join(BY_MODEL[name])} it has")
    return found[0]
