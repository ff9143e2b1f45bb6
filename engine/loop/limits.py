"""How much an iteration and a request may be."""

from __future__ import annotations

from dataclasses import dataclass

from aptsched.scheduling.forms import HIDDEN, KV
from aptsched.support.checks import MAX_COUNT
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
    """

    max_tokens: int = 2048
    max_seqs: int = 256
    max_context: int = 2048

    def __post_init__(self) -> None:
        for name, least in (("max_tokens", 1), ("max_seqs", 1), ("max_context", 2)):
            if not least <= getattr(self, name) <= MAX_COUNT:
                accepted = f"a whole number from {least} to 2**32 is"
                raise InputError(f"{name}: {shown(getattr(self, name))} is not accepted; {accepted}")

    def most_tokens(self, request: Request) -> int:
        """Prompt and output at which a request is finished, whatever its tokens."""
        return min(request.num_prompt_tokens + request.params.max_tokens, self.max_context)

    def refusal(self, request: Request, pool: BlockPool) -> str:
        """Why the request can never be served; empty where it can."""
        if not 1 <= request.num_prompt_tokens < self.max_context:
            return (
                f"num_prompt_tokens: {request.num_prompt_tokens} is not accepted; 1 to {self.max_context - 1} are, "
                f"as the context length is {self.max_context}"
            )
        return need(request.num_prompt_tokens, pool) if request.num_prompt_tokens > pool.max_request_tokens else ""


def need(num_tokens: int, pool: BlockPool) -> str:
    """What so many tokens of a request need, and what there is, in words."""
    blocks = f"{pool.cache.blocks(num_tokens, KV)} blocks in KV form"
    if pool.cache.offers_hidden:
        blocks += f" and {pool.cache.blocks(num_tokens, HIDDEN)} in hidden form"
    return f"{num_tokens} tokens need {blocks}; the pool has {pool.num_blocks}"
