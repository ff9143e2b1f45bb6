"""Sends the requests of a replay when they are due, however many are under way: an open loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import httpx2

from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from engine.loop.lifecycle import record_of
from engine.remote.streamed_request import Came, streamed
from engine.state.request import Request
from engine.study.replay import Replay

MS = 1000
TOKENS = {"ignore_eos": True, "temperature": 0, "stream": True}
USAGE = {"stream_options": {"include_usage": True, "continuous_usage_stats": True}}


def body_of(request: Request, model: str) -> dict[str, Any]:
    """What is sent: the prompt as token ids, and that so many tokens are wanted, whatever they are."""
    assert request.prompt_token_ids is not None
    given = {"model": model, "prompt": request.prompt_token_ids.tolist(), "max_tokens": request.params.max_tokens}
    return {**given, **TOKENS, **USAGE}


def headers_of(request: Request, tenants: tuple[str, ...]) -> dict[str, str]:
    """Objectives, priority and tenant, for a server that looks at them."""
    slo: SLO = request.slo
    labels = {"x-slo-ttft-ms": f"{slo.ttft_s * MS:g}", "x-slo-tpot-ms": f"{slo.tpot_s * MS:g}"}
    if request.priority:
        labels["x-priority"] = str(request.priority)
    if tenants:
        labels["x-tenant"] = tenants[request.tenant].encode("ascii", "replace").decode()[:64]
    return labels


class OpenLoop:
    """The requests of a replay, sent as they are due, in a thread of its own with an event loop.

    Parameters
    ----------
    make_client : callable
        Makes the client, within the event loop.
    model : str
    replay : Replay
    on_end : callable
        Called in that thread when a request has ended, with how many have.
    """

    def __init__(
        self,
        make_client: Callable[[], httpx2.AsyncClient],
        model: str,
        replay: Replay,
        on_end: Callable[[int], object],
    ) -> None:
        self._make_client, self._model, self._replay, self._on_end = make_client, model, replay, on_end
        self._came = [Came() for _ in range(len(replay))]
        self._num_ended, self._failure = 0, list[BaseException]()
        self._loop = asyncio.new_event_loop()
        self._all: asyncio.Task[None] | None = None

    def run(self) -> bool:
        """Sends all, and waits for their ends; returns whether they came: False after Ctrl-C, which ends the rest."""
        thread, is_whole = Thread(target=self._in_thread), True
        thread.start()
        try:
            while thread.is_alive():
                thread.join(0.1)
        except KeyboardInterrupt:
            is_whole = False
            self._loop.call_soon_threadsafe(lambda: self._all is not None and self._all.cancel())
            thread.join()
        if self._failure:
            raise self._failure[0]
        return is_whole

    def records(self) -> list[RequestRecord]:
        """The record of each request, in order; times are on the client's clock, from the first one's beginning on."""
        return [self._record(*each) for each in zip(self._replay.requests(), self._came, strict=True)]

    def _record(self, request: Request, came: Came) -> RequestRecord:
        request.token_at_s.extend(came.token_at_s)
        reason = came.reason if came.outcome is not Outcome.FINISHED else ""
        return record_of(request, came.outcome, reason)

    def _in_thread(self) -> None:
        try:
            self._all = self._loop.create_task(self._send_all())
            self._loop.run_until_complete(self._all)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._failure.append(error)
        finally:
            self._loop.close()

    async def _send_all(self) -> None:
        async with self._make_client() as client, asyncio.TaskGroup() as group:
            began_s = time.perf_counter()

            def now_s() -> float:
                return time.perf_counter() - began_s

            for number, request in enumerate(self._replay.requests()):
                body, headers = body_of(request, self._model), headers_of(request, self._replay.own.tenants)
                await asyncio.sleep(max(0.0, request.arrived_at_s - now_s()))
                group.create_task(self._send(client, body, headers, now_s, self._came[number]))

    async def _send(
        self,
        client: httpx2.AsyncClient,
        body: dict[str, Any],
        headers: dict[str, str],
        now_s: Callable[[], float],
        came: Came,
    ) -> None:
        await streamed(client, body, headers, now_s, came)
        self._num_ended += 1
        self._on_end(self._num_ended)
