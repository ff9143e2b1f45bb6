"""What a policy sees: everything observable now, and no true output length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from aptsched.scheduling.forms import CacheShape
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.lazy import lazy

Array = TypeVar("Array", Ints, Floats, Bools)


@dataclass(eq=False)
class View:
    """The unfinished requests, in order of arrival, and what is free; arrays are read-only.

    Attributes
    ----------
    now_s : float
    request_id : int array, [n]
    arrived_at_s : float array, [n]
    pending_since_s : float array, [n]
        When the newest token came, or before the first one the request: since then it waits for its next token
        (Apt-Serve, section 4.2).
    slo_ttft_s, slo_tbt_s : float array, [n]
    objective_s : float array, [n]
        Of the next token, in seconds: for the first one TTFT, later TBT.
    missed_slo : bool array, [n]
        Whether a token so far came later than its objective.
    num_prompt_tokens : int array, [n]
    num_tokens : int array, [n]
        Prompt and output so far: all of them are in the cache after the iteration that yields the next token.
    num_cached : int array, [n]
        Tokens in the cache, or in its copy on the host; below num_tokens.
    form : int array, [n]
        `CacheForm` of the tokens cached: 0 where none are.
    num_held : int array, [n]
        Blocks held in the pool.
    num_swapped : int array, [n]
        Blocks held on the host, by requests that are swapped out; these hold none in the pool.
    free_blocks, num_blocks : int
        Of the pool.
    free_host_blocks, num_host_blocks : int
        Of the host.
    max_tokens, max_seqs : int
        Token budget and sequence limit of an iteration.
    cache : CacheShape
    times : IterationTime
        What an iteration is believed to take.
    """

    now_s: float
    request_id: Ints
    arrived_at_s: Floats
    pending_since_s: Floats
    slo_ttft_s: Floats
    slo_tbt_s: Floats
    objective_s: Floats
    missed_slo: Bools
    num_prompt_tokens: Ints
    num_tokens: Ints
    num_cached: Ints
    form: Ints
    num_held: Ints
    num_swapped: Ints
    free_blocks: int
    num_blocks: int
    free_host_blocks: int
    num_host_blocks: int
    max_tokens: int
    max_seqs: int
    cache: CacheShape
    times: IterationTime

    @lazy
    def running(self) -> Bools:
        """Requests that hold blocks of the pool, [n]; the others wait, or are swapped out."""
        return _read_only(self.num_held > 0)

    @lazy
    def num_remaining(self) -> Ints:
        """Tokens to be fed before the next token comes, [n]; 1 for a decode."""
        return _read_only(self.num_tokens - self.num_cached)


def _read_only(array: Array) -> Array:
    array.setflags(write=False)
    return array
