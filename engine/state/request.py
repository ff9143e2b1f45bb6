"""A request that is being served."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from aptsched.scheduling.record import SLO
from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from engine.state.sampling_params import SamplingParams

# Of a token the logarithm of its probability, and the likeliest tokens with theirs; by the logits alone.
TokenLogprobs = tuple[float, tuple[tuple[int, float], ...]]


@dataclass(eq=False)
class Request:
    """A request, and its output so far.

    Attributes
    ----------
    request_id, num_prompt_tokens : int
    arrived_at_s : float
    params : SamplingParams
    slo : SLO
    prompt_token_ids : int array, [num_prompt_tokens], or None
        None under the computed clock, which has no tokens.
    output_token_ids : list of int
    token_at_s : array of float
        When each output token came.
    output_logprobs : list of TokenLogprobs
        Of each output token, where `params` ask for them.
    tenant, priority, cap_tokens : int
        As the columns of these names say; the cap is that of `params`, or this one where it is larger.
    """

    request_id: int
    arrived_at_s: float
    num_prompt_tokens: int
    params: SamplingParams = field(default_factory=SamplingParams)
    slo: SLO = field(default_factory=SLO)
    prompt_token_ids: Ints | None = None
    output_token_ids: list[int] = field(default_factory=list)
    token_at_s: array[float] = field(default_factory=lambda: array("d"))
    output_logprobs: list[TokenLogprobs] = field(default_factory=list)
    tenant: int = 0
    priority: int = 0
    cap_tokens: int = 0

    @property
    def num_tokens(self) -> int:
        """Prompt and output so far."""
        return self.num_prompt_tokens + len(self.output_token_ids)

    def token_ids(self, start: int, stop: int) -> Ints:
        """Tokens from position `start` up to `stop`, of prompt and output, [stop - start]."""
        assert self.prompt_token_ids is not None, "only executors that have tokens ask for them"
        prompt = self.prompt_token_ids[start:stop]
        if stop <= self.num_prompt_tokens:
            return prompt
        first = max(0, start - self.num_prompt_tokens)
        output = np.array(self.output_token_ids[first : stop - self.num_prompt_tokens], np.int64)
        return output if not len(prompt) else np.concatenate([prompt, output])


def check_request(given: object) -> None:
    """Raises InputError if what a user gives as a request is none."""
    if not isinstance(given, Request):
        raise InputError(f"requests: {type(given).__name__} is not accepted; each is a Request")
