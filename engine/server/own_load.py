"""Requests that the server sends itself, for the live page: random prompts at a rate that can be changed."""

from __future__ import annotations

import asyncio

import numpy as np
from starlette.types import Message

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from aptsched.workload import generate
from engine.server.api_errors import ApiError
from engine.server.service import Service
from engine.state.sampling_params import SamplingParams

MAX_RATE_PER_S = 100.0
WORKLOAD, NUM_LENGTHS = "sharegpt", 1000  # whose lengths are taken in turn
SHARE = 4  # a prompt and an output have at most one of so many parts of the context each


class OwnLoad:
    """Sends requests with arrivals at random, as they come from many clients.

    Parameters
    ----------
    service : Service
    rng : Generator

    Attributes
    ----------
    rate_per_s : float
    """

    def __init__(self, service: Service, rng: np.random.Generator) -> None:
        self._service, self._rng, self.rate_per_s = service, rng, 0.0
        trace, most = generate(WORKLOAD, NUM_LENGTHS, rng), max(service.max_context // SHARE, 1)
        lengths = np.stack([trace.prompt_tokens, trace.output_tokens], axis=1).astype(np.int64).clip(1, most)
        self._lengths, self._num_sent = lengths.tolist(), 0
        self._sending: asyncio.Task[None] | None = None
        self._sent = set[asyncio.Task[None]]()

    def change(self, rate_per_s: float) -> None:
        """Send at another rate from now on; 0 sends none. InputError unless the rate is from 0 to 100."""
        if not 0 <= rate_per_s <= MAX_RATE_PER_S:
            raise InputError(f"rate_per_s: {shown(rate_per_s)} is not accepted; 0 to {MAX_RATE_PER_S:g} are")
        self.rate_per_s = rate_per_s
        if self._sending is not None:
            self._sending.cancel()
        self._sending = asyncio.create_task(self._send()) if rate_per_s else None

    async def _send(self) -> None:
        while not self._service.is_closing:
            await asyncio.sleep(self._rng.exponential(1 / self.rate_per_s))
            task = asyncio.create_task(self._one())
            self._sent.add(task)
            task.add_done_callback(self._sent.discard)

    async def _one(self) -> None:
        """One request, which is sent and waited for; a full server refuses it as any."""
        num_prompt, num_output = self._lengths[self._num_sent % NUM_LENGTHS]
        self._num_sent += 1
        prompt = self._rng.integers(self._service.session.vocabulary.size, size=num_prompt).tolist()
        try:
            params = SamplingParams(max_tokens=num_output, ignore_eos=True)
            follower = self._service.begin([prompt], params, {}, _never)
        except ApiError:
            return
        await follower.until(lambda: follower.is_over)
        follower.close()


async def _never() -> Message:
    """The client of such a request never goes."""
    await asyncio.Event().wait()
    raise AssertionError
