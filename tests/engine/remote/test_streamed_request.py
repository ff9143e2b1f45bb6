"""What a client takes note of, of one stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from aptsched.scheduling.record import Outcome
from engine.remote.streamed_request import Came, streamed

TOKEN, ERROR, END = b'data: {"choices": [{}]}\n\n', b'data: {"error": {"message": "no more"}}\n\n', b"data: [DONE]\n\n"


class Parts(httpx2.AsyncByteStream):
    """Parts of a stream, which ends or, as if the connection were lost, breaks off."""

    def __init__(self, *parts: bytes, breaks_off: bool) -> None:
        self._parts, self._breaks_off, self.is_read = parts, breaks_off, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """All parts."""
        for part in self._parts:
            yield part
        self.is_read = True
        if self._breaks_off:
            raise httpx2.ReadError("lost")


def came_of(stream: Parts) -> Came:
    """What came of a request that is answered by this stream."""
    came = Came()

    async def send() -> None:
        transport = httpx2.MockTransport(lambda request: httpx2.Response(200, stream=stream))
        async with httpx2.AsyncClient(transport=transport, base_url="http://server/") as client:
            await streamed(client, {}, {}, lambda: 1.0, came)

    asyncio.run(send())
    return came


@pytest.mark.parametrize("breaks_off", [False, True])
@pytest.mark.parametrize(("last", "outcome", "reason"), [(END, "finished", ""), (ERROR, "unfinished", "no more")])
def test_what_comes_after_the_last_event_is_read_and_changes_nothing(
    last: bytes, outcome: str, reason: str, breaks_off: bool
) -> None:
    """A stream that is left before its end would leave the connection to be closed at any later time."""
    stream = Parts(TOKEN, TOKEN, last, TOKEN, breaks_off=breaks_off)
    came = came_of(stream)
    assert stream.is_read
    assert (came.outcome.value, came.reason, came.token_at_s) == (outcome, reason, [1.0, 1.0])


def test_a_stream_that_breaks_off_leaves_its_request_unfinished() -> None:
    """With the tokens that came, and the reason."""
    came = came_of(Parts(TOKEN, breaks_off=True))
    assert (came.outcome, came.reason, came.token_at_s) == (Outcome.UNFINISHED, "ReadError: lost", [1.0])
