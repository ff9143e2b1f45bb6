"""The rule by which a policy serves in order of arrival, said once: its decisions and simulations go by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from aptsched.scheduling.plan import Policy
from aptsched.support.errors import InputError


@dataclass(frozen=True)
class FirstCome:
    """How iterations follow each other where the requests that run are the first ones, and all but the last decode.

    All that run are fed one token, the last one what is left of its prompt, as far as the budget goes. Where blocks are
    short for that, the last that run are preempted, as few as need be, and nobody is admitted. Else those that wait are
    admitted in order, up to the sequence limit, as long as there are blocks, and tokens are left of the budget: the
    last of them may be fed a part of its prompt. The first that is not admitted holds up those behind it.

    Parameters
    ----------
    max_tokens : int
        Token budget of an iteration.
    spared_blocks : int
        Blocks that an admission leaves free.
    whole : bool
        Whether a request is admitted with the blocks of its whole prompt, also where it is fed a part.
    alone : bool
        Whether admissions come first, and where there are any, the others are not fed.
    """

    max_tokens: int
    spared_blocks: int = 0
    whole: bool = False
    alone: bool = False

    def least_tokens(self, num_tokens: int, budget: int) -> int:
        """For how many of so many tokens a request is admitted with blocks, where so much of the budget is left."""
        return num_tokens if self.whole else min(num_tokens, budget)


class ServesFirstCome(Protocol):
    """The method that a policy may have beside `decide`, so that simulations go on by its rule without asking it."""

    def first_come(self, max_tokens: int, num_blocks: int) -> FirstCome | None:
        """The rule, with this token budget of the loop and so many blocks of the pool; None where there is none.

        It counts where a request runs, the budget is enough for a token of each that does, no prompt is longer than it
        if prompts are fed `alone`, somebody is not preempted, and no request takes more blocks than there are.
        """
        ...


def first_come_of(policy: Policy, max_tokens: int, num_blocks: int) -> FirstCome | None:
    """The policy's rule; None if it has none.

    Raises
    ------
    InputError
        What it says is no rule.
    """
    if not hasattr(policy, "first_come"):
        return None
    rule: object = cast(ServesFirstCome, policy).first_come(max_tokens, num_blocks)
    if rule is not None and not isinstance(rule, FirstCome):
        raise InputError(
            f"policy: first_come that returns {type(rule).__name__} is not accepted; a FirstCome or None is"
        )
    return rule
