"""Limits of iterations and requests."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aptsched.scheduling.forms import KV, entry_of, sums_by_form
from aptsched.scheduling.view import View
from aptsched.support.arrays import sum_of
from aptsched.support.checks import MAX_COUNT, is_count, seconds
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.state.pool import BlockPool
from engine.state.request import Request


@dataclass(frozen=True)
class Limits:
    """Limits of the loop.

    Parameters
    ----------
    max_tokens : int
        Token budget of an iteration.
    max_seqs : int
        Most entries of an iteration.
    max_context : int
        Most tokens of a request, prompt and output: the model's context length.
    max_iteration_s : float, optional
        The longest that an iteration may take by its predicted time: see `within_deadline`. By default there is none.
    """

    max_tokens: int = 2048
    max_seqs: int = 256
    max_context: int = 2048
    max_iteration_s: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("max_tokens", 1), ("max_seqs", 1), ("max_context", 2)):
            if not is_count(getattr(self, name), least, MAX_COUNT):
                accepted = f"a whole number from {least} to 2**32 is"
                raise InputError(f"{name}: {shown(getattr(self, name))} is not accepted; {accepted}")
        if self.max_iteration_s is not None:
            seconds("max_iteration_s", self.max_iteration_s, above_0=True)

    def within_deadline(self, view: View) -> View:
        """The view with the token budget cut to what is predicted to take `max_iteration_s`, if that is given.

        All running requests are assumed to decode; the rest of the time goes to tokens of prompts. The budget has at
        least one token for each running request and one more, so that no decode waits, and a prompt fed in chunks
        always makes progress.
        """
        if self.max_iteration_s is None or not view.times.per_token_s:
            return view
        rows = view.running.nonzero()[0]
        kv_blocks = sums_by_form(view.form[rows], view.cache.blocks(view.num_tokens[rows], KV))
        read_s = view.times.predict(0, sum_of(view.num_cached[rows]), kv_blocks, len(rows))
        affordable = (self.max_iteration_s - read_s - view.times.prefill_s) / view.times.per_token_s
        budget = max(int(min(affordable, view.max_tokens)), len(rows) + 1)
        return replace(view, max_tokens=min(budget, view.max_tokens))

    def most_tokens(self, request: Request) -> int:
        """Number of prompt and output tokens at which a request is finished, whatever the tokens are."""
        return min(request.num_prompt_tokens + request.params.max_tokens, self.max_context)

    def refusal(self, request: Request, pool: BlockPool) -> str:
        """The reason why the request can never be served; empty if it can."""
        if not 1 <= request.num_prompt_tokens < self.max_context:
            return (
                f"num_prompt_tokens: {request.num_prompt_tokens} is not accepted; 1 to {self.max_context - 1} are, "
                f"as the context length is {self.max_context}"
            )
        return need(request.num_prompt_tokens, pool) if request.num_prompt_tokens > pool.max_request_tokens else ""


def need(num_tokens: int, pool: BlockPool) -> str:
    """A sentence on how many blocks so many tokens of a request need, and how many the pool has."""
    forms = [f"{pool.cache.blocks(num_tokens, form)} in {entry_of(form).label} form" for form in pool.cache.offered]
    blocks = " and ".join(forms).replace(" in", " blocks in", 1)
    return f"{num_tokens} tokens need {blocks}; the pool has {pool.num_blocks}"
