"""What all handlers share: the session, the bound on requests, and who counts what becomes of them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from starlette.types import Receive

from aptsched.scheduling.record import SLO
from aptsched.support.plural import how_many
from engine.models.tokenizer import Tokenizer
from engine.server.api_errors import ApiError
from engine.server.exposition import Exposition
from engine.server.follower import Follower
from engine.server.in_flight import InFlight
from engine.server.labels import LabelReader
from engine.server.reply import Head
from engine.server.wakeups import Wakeups
from engine.session.completion import Completion
from engine.session.generation import Generation
from engine.session.session import Session
from engine.state.sampling_params import SamplingParams

LONG_TEXT = 20_000  # characters; longer prompts are made into tokens in a thread of their own
CLOSING = "the server is closing"


class Service:
    """A session behind HTTP; all but the session is used by the event loop's thread alone.

    Parameters
    ----------
    session : Session
    model : str
        The name that clients give.
    slo : SLO
        Objectives of requests that say none.
    max_requests : int
        Requests in the server at once, waiting or running.
    exposition : Exposition
        Told of requests; the session tells it of iterations.
    rng : Generator
        Draws seeds of requests that have none.
    on_failure : callable
        Called with the error when the session has failed, for it cannot serve any more.

    Attributes
    ----------
    is_closing : bool
        Whether the server ends as soon as its requests have.
    """

    def __init__(
        self,
        session: Session,
        model: str,
        slo: SLO,
        max_requests: int,
        exposition: Exposition,
        rng: np.random.Generator,
        on_failure: Callable[[BaseException], object] = lambda error: None,
    ) -> None:
        self.session, self.model, self.exposition, self.on_failure = session, model, exposition, on_failure
        self.labels, self.in_flight, self.created_s = LabelReader(slo), InFlight(max_requests), int(time.time())
        self.is_closing = self.is_failed = False
        self.closing = asyncio.Event()
        self._rng, self._wakeups, self._followers = rng, Wakeups(asyncio.get_running_loop()), set[Follower]()

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The model's tokenizer."""
        return self.session.vocabulary.tokenizer

    @property
    def max_context(self) -> int:
        """Most tokens of a request, prompt and output."""
        return self.session.worker.limits.max_context

    def seed(self) -> int:
        """A seed for a request that has none."""
        return int(self._rng.integers(2**63))

    def head(self, prefix: str) -> Head:
        """The head of an answer."""
        return Head(f"{prefix}{uuid.uuid4().hex}", int(time.time()), self.model)

    async def tokens(self, texts: Sequence[str], special: bool = True) -> list[list[int]]:
        """The tokens of texts; event loops are not held up by long ones.

        Raises
        ------
        ApiError
            The model has no tokenizer.
        """
        tokenizer = self.tokenizer
        if tokenizer is None:
            raise ApiError(
                400, "prompt: a text is not accepted, as the model has no tokenizer; token ids are", "prompt"
            )
        if sum(map(len, texts)) < LONG_TEXT:
            return [tokenizer.encode(text, special) for text in texts]
        return await asyncio.to_thread(lambda: [tokenizer.encode(text, special) for text in texts])

    def begin(
        self, prompts: Sequence[list[int]], params: SamplingParams, headers: Mapping[str, str], receive: Receive
    ) -> Follower:
        """Adds requests to the session, as the headers label them.

        Raises
        ------
        ApiError
            The server is full, closing or has failed.
        InputError
            A prompt or a header is not accepted.
        """
        labels, count = self.labels.read(headers), len(prompts)
        if self.is_closing or self.is_failed:
            raise ApiError(503, CLOSING, code="unavailable", retry_after_s=1.0)
        if not self.in_flight.enter(count):
            self.exposition.refused("queue", count)
            raise self._full(count)
        try:
            generations = self.session.add_all(
                prompts, params, slo=labels.slo, tenant=labels.tenant, priority=labels.priority
            )
        except BaseException:
            self.in_flight.leave(count, time.monotonic())
            raise
        follower = Follower(generations, receive, self._wakeups, lambda: self._left(follower))
        self._followers.add(follower)
        return follower

    def _left(self, follower: Follower) -> None:
        self._followers.discard(follower)
        self.in_flight.leave(len(follower.generations), time.monotonic())

    def _full(self, count: int) -> ApiError:
        """The error where there are too many requests."""
        most = self.in_flight.max_requests
        if count > most:
            return ApiError(400, f"prompt: {count} prompts at once are not accepted; up to {most} are", "prompt")
        message = f"the server is full: {how_many(most, 'request')} at once, and no more, are accepted"
        return ApiError(429, message, code="queue_full", retry_after_s=self.in_flight.retry_after_s(count))

    def completion_of(self, generation: Generation) -> Completion:
        """The completion of a request that has ended.

        Raises
        ------
        ApiError
            It was rejected or broken off by the server, or the session has failed: the error says which and why.
        """
        try:
            completion = generation.result()
        except Exception as error:
            self.is_failed = True
            self.on_failure(error)
            raise ApiError(500, f"the engine failed ({type(error).__name__}: {error})", code="engine_failed") from error
        if completion.finish_reason == "abort":
            raise broken_off()
        if completion.finish_reason == "rejected":
            raise self._rejected(completion, generation)
        self.exposition.finished(completion.finish_reason)
        return completion

    def _rejected(self, completion: Completion, generation: Generation) -> ApiError:
        """The error of a request that can never be served, or that the policy gave up."""
        request, worker, reason = generation.request, self.session.worker, completion.record.reason
        if request.num_tokens > worker.pool.max_request_tokens or worker.limits.refusal(request, worker.pool):
            self.exposition.refused("size", 1)
            return ApiError(400, reason, "prompt", "context_length_exceeded")
        self.exposition.refused("policy", 1)
        return ApiError(429, reason, code="rejected", retry_after_s=self.in_flight.retry_after_s(1))

    def close(self) -> None:
        """Accepts no request any more; those that are here go on."""
        self.is_closing = True
        self.closing.set()

    def end_all(self) -> None:
        """Ends all requests at the end of their iteration; their clients are told at once."""
        for follower in list(self._followers):
            follower.break_off()


def broken_off() -> ApiError:
    """The error of a request that the end of the server has broken off."""
    return ApiError(503, f"the request was broken off: {CLOSING}", code="unavailable", retry_after_s=1.0)
