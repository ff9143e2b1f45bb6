"""What an iteration did."""

from __future__ import annotations

from dataclasses import dataclass

from aptsched.problem import BatchProblem
from aptsched.selection import Selection


@dataclass(eq=False)
class Iteration:
    """An iteration, idle ones included.

    Attributes
    ----------
    number : int
        From 0 on.
    start_s, duration_s : float
        On the loop's clock, from the view to the tokens; real time includes the scheduling.
    scheduling_s : float
        Seconds in which the executor did not run: view, plan, pool and record; modelled under a computed clock.
    num_prefill_tokens, num_decode_tokens : int
        Tokens fed; of a decode entry it is one, the newest output.
    num_seqs : int
        Entries that ran.
    num_kv_blocks, num_hidden_blocks, num_free_blocks : int
        Of the pool, with what the iteration itself took, before finished requests leave.
    num_waiting : int
        Unfinished requests without cache at that time, in the pool or on the host.
    num_preemptions, num_promotions, num_rejections : int
    num_swap_outs, num_swap_ins : int
        Requests whose cache went to the host, and that came back.
    num_swapped_blocks : int
        Blocks copied for that, in both directions.
    problem, selection : BatchProblem, Selection, optional
        The policy's decision and its certificate.
    """

    number: int
    start_s: float
    duration_s: float
    scheduling_s: float
    num_prefill_tokens: int
    num_decode_tokens: int
    num_seqs: int
    num_kv_blocks: int
    num_hidden_blocks: int
    num_free_blocks: int
    num_waiting: int
    num_preemptions: int
    num_promotions: int
    num_rejections: int
    num_swap_outs: int
    num_swap_ins: int
    num_swapped_blocks: int
    problem: BatchProblem | None
    selection: Selection | None

    @property
    def gap(self) -> float | None:
        """The certified gap of the decision; None where the policy solves no problem, or does not say which."""
        return None if self.selection is None or self.problem is None else self.selection.gap
