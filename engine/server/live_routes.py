"""The live page: its file, the events that it shows, and what can be changed on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import Field

from aptsched.support.errors import InputError
from engine.server.api_errors import ApiError
from engine.server.bodies import Strict
from engine.server.event_stream import EventStream, until_gone
from engine.server.live_view import LiveView
from engine.server.own_load import MAX_RATE_PER_S, OwnLoad
from engine.server.reply import event
from engine.server.service import Service
from engine.server.switched import Switched

PAGE = Path(__file__).with_name("page.html")
EACH_S = 0.2  # between two events
MAX_WATCHERS = 16
SAFE = {"content-security-policy": "default-src 'self' 'unsafe-inline'; img-src data:", "cache-control": "no-store"}


class LoadBody(Strict):
    """Requests a second that the server sends itself."""

    rate_per_s: Annotated[float, Field(ge=0, le=MAX_RATE_PER_S)]


class PolicyBody(Strict):
    """The policy that decides from now on."""

    name: Annotated[str, Field(min_length=1, max_length=1000)]


class Live:
    """What the page is about.

    Parameters
    ----------
    view : LiveView
    service : Service
    load : OwnLoad
    policy : Switched
    has_controls : bool
        Whether load and policy can be changed from the page.
    """

    def __init__(self, view: LiveView, service: Service, load: OwnLoad, policy: Switched, has_controls: bool) -> None:
        self.view, self.service, self.load, self.policy, self.has_controls = view, service, load, policy, has_controls

    async def events(self, request: Request) -> AsyncGenerator[bytes, None]:
        """Events until the client goes or the server closes."""
        ends = {asyncio.create_task(until_gone(request.receive)), asyncio.create_task(self.service.closing.wait())}
        self.view.num_watchers += 1
        try:
            while True:
                yield event(self._state())
                done, _ = await asyncio.wait(ends, timeout=EACH_S, return_when=asyncio.FIRST_COMPLETED)
                if done:
                    return
        finally:
            self.view.num_watchers -= 1
            for end in ends:
                end.cancel()

    def _state(self) -> dict[str, object]:
        in_flight = self.service.in_flight
        return {
            **self.view.shown(),
            "model": self.service.model,
            "policy": self.policy.name,
            "policies": self.policy.names,
            "has_controls": self.has_controls,
            "rate_per_s": self.load.rate_per_s,
            "num_in_flight": in_flight.num_requests,
            "max_requests": in_flight.max_requests,
        }

    def check_controls(self) -> None:
        """Raises ApiError where nothing may be changed."""
        if not self.has_controls:
            raise ApiError(403, "load and policy can be changed where the server is on loopback, or has an API key")


def router(live: Live) -> APIRouter:
    """The paths below /live."""
    made = APIRouter(prefix="/live")

    @made.get("/events", response_class=Response)
    async def events(request: Request) -> Response:
        """What the page shows, as server-sent events, five a second."""
        if live.view.num_watchers >= MAX_WATCHERS:
            raise ApiError(503, f"{MAX_WATCHERS} pages are open, and no more are accepted", retry_after_s=5.0)
        return EventStream(live.events(request), lambda: None)

    @made.post("/load", status_code=204, response_class=Response)
    async def change_load(body: LoadBody) -> None:
        """Have the server send itself so many requests a second."""
        live.check_controls()
        live.load.change(body.rate_per_s)

    @made.post("/policy", status_code=204, response_class=Response)
    async def change_policy(body: PolicyBody) -> None:
        """Have another policy decide from the next iteration on."""
        live.check_controls()
        try:
            live.policy.switch(body.name)
        except InputError as error:
            raise ApiError(404, str(error), "name", "policy_not_found") from None

    return made


def page() -> HTMLResponse:
    """The page, which asks for nothing but the events."""
    return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers=SAFE)
