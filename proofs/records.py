"""Verdicts on records, and what the checkers of all results share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from aptsched.problem import instance
from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.selection import Multipliers
from proofs.certificate import SCALE, Certificate

RESTS = "it rests on entries that do not hold"


@dataclass(frozen=True)
class Verdict:
    """The result of checking one record.

    Attributes
    ----------
    name : str
        Which record it is.
    reasons : tuple of str
        Why it does not hold, each a sentence that names a field and its value.
    said : tuple of str
        Fields that rest on the method's word: neither proved by a certificate nor refuted by another record.
    gap : float or None
        The certified gap, where it has one.
    optimal : bool
        Whether its certificate proves that no selection is better.
    """

    name: str
    reasons: tuple[str, ...]
    said: tuple[str, ...] = ()
    gap: float | None = None
    optimal: bool = False

    @property
    def holds(self) -> bool:
        """Whether all claims of the record hold, apart from those in `said`."""
        return not self.reasons


@dataclass(frozen=True)
class Claim:
    """A record's fields under the names of a `Selection`'s, with values of any type."""

    form: Any
    objective_s: Any
    num_blocks: Any
    num_tokens: Any
    multipliers: Multipliers | None
    bound_s: Any
    gap: Any


def problem_of(content: object) -> BatchProblem:
    """The problem of a record; raises InputError where it is malformed."""
    return instance.from_dict({"schema": instance.SCHEMA, "version": instance.VERSION, "problem": content})


def multipliers_of(given: object) -> Multipliers | None:
    """The multipliers of a record, with values of any type; None unless it names exactly the three."""
    names = Multipliers.__dataclass_fields__
    return Multipliers(**given) if isinstance(given, dict) and sorted(given) == sorted(names) else None


def is_optimal(problem: BatchProblem, certificate: Certificate) -> bool:
    """Whether no selection can be better than one with this certificate.

    The objectives of all selections are whole multiples of one step, the grid of the values: if the bound is less than
    one step above the objective, no other objective lies between them.
    """
    if not certificate.holds or certificate.bound is None or certificate.objective is None:
        return False
    ratios = (value.as_integer_ratio() for value in problem.values.ravel().tolist())
    grid = math.gcd(*(numerator * (SCALE // denominator) for numerator, denominator in ratios))
    missed = (certificate.bound - certificate.objective) * SCALE
    return missed <= 0 or missed < grid


def is_equal(given: object, fact: object) -> bool:
    """Whether plain values are equal, nested ones too; a bool never equals a number."""
    if isinstance(fact, list):
        return isinstance(given, list) and len(given) == len(fact) and all(map(is_equal, given, fact))
    if isinstance(fact, dict):
        return isinstance(given, dict) and set(given) == set(fact) and all(is_equal(given[n], fact[n]) for n in fact)
    return given == fact and (type(given) is bool) == (type(fact) is bool)


def is_whole(given: object) -> bool:
    """Whether it is a whole number from 0 to 2**63 - 1."""
    return type(given) is int and 0 <= given < 2**63
