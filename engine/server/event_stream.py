"""A response of server-sent events: pieces as they come, each sent at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no"}


async def until_gone(receive: Receive) -> None:
    """Waits until the client of a request has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream(Response):
    """Sends pieces until there are no more; who makes them sees to it that they end when the client goes.

    Starlette's own response listens for the client beside that, and sends on to one that has gone.

    Parameters
    ----------
    pieces : async generator of bytes
    on_close : callable
        Called once, however it ends.
    """

    def __init__(self, pieces: AsyncGenerator[bytes, None], on_close: Callable[[], object]) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._pieces, self._on_close = pieces, on_close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the response."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for piece in self._pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._on_close()
            await self._pieces.aclose()
