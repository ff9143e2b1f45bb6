"""Mixes of workloads: their parts and shares, as in "sharegpt:0.7,longbench:0.3"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aptsched.support.errors import InputError
from aptsched.support.number_text import read_number
from aptsched.support.shown import shown


@dataclass(frozen=True, eq=False)
class Mix:
    """The parts of a mix, each with its share of the requests; the shares come to 1.

    Attributes
    ----------
    names : tuple of str
    shares : tuple of float
    notices : tuple of str
        That shares were given that do not come to 1, and are taken in proportion.
    """

    names: tuple[str, ...]
    shares: tuple[float, ...]
    notices: tuple[str, ...] = ()


def is_mix(workload: str) -> bool:
    """Whether a name of a workload is that of a mix."""
    return ":" in workload or "," in workload


def read_mix(workload: str, known: Iterable[str]) -> Mix:
    """The parts of a mix.

    Raises
    ------
    InputError
        A part without a share above 0, one that is not among the known workloads, or one that is there twice.
    """
    names, shares, accepted = list[str](), list[float](), list(known)
    for part in workload.split(","):
        name, _, share = (text.strip() for text in part.partition(":"))
        if name not in accepted or name in names:
            why = "is there twice; each once is" if name in names else f"is not known; {', '.join(accepted)} are"
            raise InputError(f"workload: part {shown(name)} {why} accepted")
        names.append(name)
        shares.append(_share(part, share))
    total = sum(shares)
    if abs(total - 1) <= 1e-9:
        return Mix(tuple(names), tuple(shares))
    taken = [share / total for share in shares]
    said = ", ".join(f"{share:.3g} {name}" for share, name in zip(taken, names, strict=True))
    return Mix(tuple(names), tuple(taken), (f"The shares of the mix come to {total:g}, so they are taken as {said}.",))


def _share(part: str, text: str) -> float:
    try:
        share = read_number(text, float)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1e9:
        accepted = "a name and a share above 0, as in sharegpt:0.7,longbench:0.3,"
        raise InputError(f"workload: part {shown(part)} is not accepted; {accepted} is")
    return share
