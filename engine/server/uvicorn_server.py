"""The process of a server: its socket, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from aptsched.support.errors import InputError
from engine.server.service import Service

GRACE_S = 2.0  # for clients to be told that they are broken off, once the time to drain is over
LOOK_S = 0.05  # between two looks at what is left to end
KEEP_ALIVE_S = 75  # idle connections stay open for so long, longer than most clients keep them
BACKLOG = 2048  # connections that wait to be accepted


class UvicornServer(uvicorn.Server):
    """Ends in two steps: SIGTERM or Ctrl-C lets the requests end that are here, for a limited time; a second one none.

    Parameters
    ----------
    app : ASGIApp
    service : Service
        Of that application.
    drain_s : float
        How long requests have to end.

    Attributes
    ----------
    exit_code : int
        0 where all requests ended in time; else 128 and the number of the signal.
    failure : BaseException or None
        What ended the session, and so the server.
    """

    def __init__(self, app: ASGIApp, service: Service, drain_s: float) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=KEEP_ALIVE_S,
        )
        super().__init__(config)
        self._service, self._drain_s, self._signal, self.exit_code = service, drain_s, 0, 0
        self.failure: BaseException | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The handler of the signals."""
        self._signal, self.force_exit = sig, self.should_exit
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accepts nothing any more, lets requests end, tells the clients of those that have not, and hangs up."""
        self._service.close()
        ending = asyncio.create_task(self._end_in_time())
        await super().shutdown(sockets)
        if not self.force_exit:
            ending.cancel()
        await asyncio.wait([ending])

    async def _end_in_time(self) -> None:
        """Breaks requests off once their time is over, or at a second signal; then ends what clients leave open."""
        await self._until(lambda: self.force_exit, self._drain_s)
        if self._service.in_flight.num_requests:
            self.exit_code = 128 + self._signal
            self._service.end_all()
        await self._until(lambda: not self.server_state.tasks, GRACE_S)
        for connection in list(self.server_state.connections):
            assert connection.transport is not None, "it is made"
            connection.transport.abort()

    async def _until(self, is_so: Callable[[], bool], within_s: float) -> None:
        until_s = time.monotonic() + within_s
        while not is_so() and time.monotonic() < until_s:
            await asyncio.sleep(LOOK_S)


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes any that is free.

    Raises
    ------
    InputError
        The address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except BaseException:
            listening.close()
            raise
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"host, port: {host[:60]!r}, {port} cannot be listened on ({reason}); others are accepted"
        ) from None
    return listening
