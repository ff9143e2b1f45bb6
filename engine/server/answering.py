"""Answers a request: whole, or as a stream of its pieces."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator
from typing import Any

from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response

from engine.server.api_errors import ApiError
from engine.server.bodies import StreamOptions
from engine.server.event_stream import EventStream
from engine.server.follower import Follower
from engine.server.reading import Reading
from engine.server.reply import END, Head, Reply, Scored, event, usage
from engine.server.scored_tokens import ScoredTokens
from engine.server.service import Service, broken_off
from engine.session.completion import Completion
from engine.session.generation import Generation
from engine.state.sampling_params import SamplingParams

GONE = 499  # the client has gone: nobody reads this response


async def answered(
    service: Service,
    request: Request,
    prompts: list[list[int]],
    params: SamplingParams,
    reply: Reply,
    stream: StreamOptions | None,
) -> Response:
    """The answer to prompts, a choice for each; a stream begins with its first token, so that a rejection has a status.

    Errors as of `Service.begin` and `Service.completion_of`.
    """
    follower = service.begin(prompts, params, request.headers, request.receive)
    try:
        await follower.until(lambda: follower.is_over or (stream is not None and _any_begun(follower)))
        if follower.is_gone:
            follower.close()
            return Response(status_code=GONE)
        if follower.is_broken_off:
            raise broken_off()
        head = service.head(reply.prefix)
        if stream is not None:
            for generation in follower.generations:
                if generation.is_over and not generation.request.output_token_ids:
                    service.completion_of(generation)
            return EventStream(_Pieces(service, follower, head, reply, stream).run(), follower.close)
        body = _whole(service, follower, head, reply)
    except BaseException:
        follower.close()
        raise
    follower.close()
    return JSONResponse(body)


def _any_begun(follower: Follower) -> bool:
    return any(generation.request.output_token_ids or generation.is_over for generation in follower.generations)


def _whole(service: Service, follower: Follower, head: Head, reply: Reply) -> dict[str, Any]:
    """The body of an answer that is complete."""
    completions = [service.completion_of(generation) for generation in follower.generations]
    scored = [_scored(service, generation) for generation in follower.generations]
    choices = [reply.choice(index, *each) for index, each in enumerate(zip(completions, scored, strict=True))]
    return head.of(reply.whole, choices, _used(completions))


def _scored(service: Service, generation: Generation) -> Scored:
    """All tokens of an output that has ended, where its request asks how likely they were."""
    if generation.request.params.num_logprobs is None:
        return None
    return ScoredTokens(generation, service.session.vocabulary).read(len(generation.request.output_token_ids))


def _used(completions: list[Completion]) -> dict[str, int]:
    return usage(
        sum(len(each.prompt_token_ids) for each in completions), sum(len(each.token_ids) for each in completions)
    )


class _Pieces:
    """The pieces of an answer: one for each choice with news, whenever the loop is woken; then usage, and the end."""

    def __init__(self, service: Service, follower: Follower, head: Head, reply: Reply, stream: StreamOptions) -> None:
        self._service, self._follower, self._head, self._reply = service, follower, head, reply
        self._readings = [Reading(each, service.session.vocabulary) for each in follower.generations]
        self._of_all, self._of_each = bool(stream.include_usage), bool(stream.continuous_usage_stats)
        self._begun = [False] * len(self._readings)

    async def run(self) -> AsyncGenerator[bytes, None]:
        """All pieces; an error on the way is a last one."""
        is_last = False
        try:
            while not is_last:
                is_last = await self._follower.news()
                if news := b"".join(itertools.starmap(self._piece, enumerate(self._readings))):
                    yield news
            if self._follower.is_broken_off:
                raise broken_off()
        except ApiError as error:
            yield event(error.body())
            return
        if self._follower.is_gone:
            return
        if self._of_all:
            yield event(self._head.of(self._reply.piece, [], self._usage(self._readings)))
        yield END

    def _piece(self, index: int, reading: Reading) -> bytes:
        if not reading.has_news:
            return b""
        text = reading.read()
        ended = self._service.completion_of(reading.generation) if reading.is_read else None
        choice = self._reply.part(index, text, reading.scored, not self._begun[index], ended)
        self._begun[index] = True
        body = self._head.of(self._reply.piece, [choice], self._usage([reading]) if self._of_each else None)
        if self._of_all and not self._of_each:
            body["usage"] = None
        return event(body)

    def _usage(self, readings: list[Reading]) -> dict[str, int]:
        num_prompt_tokens = sum(reading.generation.request.num_prompt_tokens for reading in readings)
        return usage(num_prompt_tokens, sum(reading.num_read for reading in readings))
