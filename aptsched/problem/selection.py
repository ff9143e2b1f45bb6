"""An answer to the batch-composition problem, and the multipliers that certify it."""

from __future__ import annotations

from dataclasses import dataclass

from aptsched.support.checks import Ints
from aptsched.support.quick_init import quick_init


@dataclass(frozen=True)
class Multipliers:
    """The price of one unit of each shared resource, in seconds; all at least 0.

    By weak duality any of them prove, for lambda = (per_block_s, per_token_s, per_seq_s),

        optimum <= lambda . (capacity, max_tokens, max_seqs)
                   + sum_i max(0, max_f values[i, f] - lambda . (weights[i, f], num_tokens[i], 1))

    over the forms that fit alone; for a required request max(0, .) is max_f alone. An unlimited resource has
    multiplier 0.
    """

    per_block_s: float = 0.0
    per_token_s: float = 0.0
    per_seq_s: float = 0.0


@quick_init
@dataclass(frozen=True, eq=False)
class Selection:
    """Which requests are served, in which form, and how far from the optimum that can be.

    Attributes
    ----------
    form : int array, [n]
        0 = not served, f = served in form f (column f - 1 of the problem's arrays).
    objective_s : float
        The correctly rounded exact sum of the values chosen, in seconds.
    num_blocks, num_tokens : int
        What the selection uses.
    multipliers : Multipliers
    bound_s : float
        The bound that the multipliers prove, rounded up: never below the exact optimum.
    """

    form: Ints
    objective_s: float
    num_blocks: int
    num_tokens: int
    multipliers: Multipliers
    bound_s: float

    @property
    def num_seqs(self) -> int:
        """Number of requests served."""
        return int((self.form > 0).sum())

    @property
    def gap(self) -> float:
        """The certified gap, (bound - objective) / max(|bound|, |objective|); 0 where both are 0.

        It may be positive for a proved optimum: whether a selection is proved optimal is `Solution.status`.
        """
        scale = max(abs(self.bound_s), abs(self.objective_s))
        return max(0.0, self.bound_s - self.objective_s) / scale if scale else 0.0
