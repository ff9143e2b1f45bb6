"""Refuses bodies that are too large, as soon as that is known."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.server.api_errors import ApiError

TOO_LARGE = 413


class BodyLimit:
    """An application whose requests have bodies of at most so many bytes.

    Parameters
    ----------
    app : ASGIApp
    max_bytes : int
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes
        self._said = f"body: more than {max_bytes} bytes are not accepted; fewer are"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request; one that says its length is refused before its body is read."""
        length = next((value for name, value in scope.get("headers", ()) if name == b"content-length"), b"0")
        if int(length) > self._max_bytes:
            await ApiError(TOO_LARGE, self._said).response({"connection": "close"})(scope, receive, send)
            return
        num_bytes = 0

        async def counted() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > self._max_bytes:
                raise HTTPException(TOO_LARGE, self._said, {"connection": "close"})
            return message

        await self._app(scope, counted, send)
