"""The record of an iteration."""

from __future__ import annotations

from dataclasses import dataclass

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.selection import Selection
from aptsched.scheduling.plan import Plan
from aptsched.support.arrays import all_of, count_of, sum_of
from aptsched.support.quick_init import quick_init
from engine.state.pool import Applied, BlockPool
from engine.state.request_table import RequestTable


@quick_init
@dataclass(frozen=True, eq=False)
class Iteration:
    """What was done in an iteration, which may be idle.

    Attributes
    ----------
    number : int
        From 0 on.
    start_s, end_s : float
        On the clock of the worker's owner, from the view to the tokens; real time includes the scheduling.
    scheduling_s : float
        Seconds in which the executor did not run: view, plan, pool and record; modelled on a computed clock.
    num_prefill_tokens, num_decode_tokens : int
        Tokens fed; a decode entry is fed one, the newest output.
    num_seqs : int
        Entries that ran.
    num_blocks_by_form : tuple of int, [f]
        Blocks of the pool that requests hold, including those that the iteration itself took, before finished requests
        leave.
    num_waiting : int
        Unfinished requests that have no cache at that time, neither in the pool nor on the host.
    num_preemptions, num_promotions, num_rejections : int
        Promotions are all conversions in place, to any form.
    num_swap_outs, num_swap_ins : int
        Requests whose cache went to the host, and that came back.
    num_swapped_blocks : int
        Blocks copied for these swaps, in both directions.
    problem, selection : BatchProblem, Selection, optional
        The policy's decision and its certificate.
    """

    number: int
    start_s: float
    end_s: float
    scheduling_s: float
    num_prefill_tokens: int
    num_decode_tokens: int
    num_seqs: int
    num_blocks_by_form: tuple[int, ...]
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
    def duration_s(self) -> float:
        """Seconds from the view to the tokens."""
        return self.end_s - self.start_s

    @property
    def is_idle(self) -> bool:
        """Whether nothing ran, was converted, swapped or rejected."""
        return not (self.num_seqs or self.num_promotions or self.num_rejections or self.num_swapped_blocks)

    @property
    def gap(self) -> float | None:
        """The certified gap of the decision; None if the plan has no problem or no selection."""
        return None if self.selection is None or self.problem is None else self.selection.gap


def iteration_of(
    number: int, plan: Plan, applied: Applied, pool: BlockPool, table: RequestTable, times_s: tuple[float, float, float]
) -> Iteration:
    """The record of an iteration, before finished requests leave; `times_s` are its start, end, and scheduling."""
    batch, (start_s, end_s, scheduling_s) = applied.batch, times_s
    in_output = batch.start >= table.num_prompt_tokens[applied.row]
    num_decodes = count_of(batch.samples & in_output & batch.feeds_one)
    num_fed = len(applied.row) if all_of(batch.feeds_one) else sum_of(batch.num_tokens)
    return Iteration(
        number=number,
        start_s=start_s,
        end_s=end_s,
        scheduling_s=scheduling_s,
        num_prefill_tokens=num_fed - num_decodes,
        num_decode_tokens=num_decodes,
        num_seqs=len(applied.row),
        num_blocks_by_form=pool.num_blocks_by_form,
        num_waiting=table.num_waiting,
        num_preemptions=len(plan.preempt),
        num_promotions=len(applied.converted),
        num_rejections=len(plan.reject),
        num_swap_outs=len(applied.swapped_out),
        num_swap_ins=len(applied.swapped_in),
        num_swapped_blocks=batch.num_swapped_blocks,
        problem=plan.problem,
        selection=plan.selection,
    )
