"""One request to a server, by a stream: when its tokens come to the client, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2

from aptsched.scheduling.record import Outcome
from aptsched.support.shown import one_line

END = "[DONE]"
PREFIX = "data:"
MAX_SAID = 300  # characters of an error of the server
MAX_LINE = 2**22  # characters of a piece; a longer one is none


@dataclass
class Came:
    """What came of a request.

    Attributes
    ----------
    token_at_s : list of float
        When each token came, on the client's clock.
    outcome : Outcome
        Finished by the end of its stream; rejected by a status of 400 and more, before any token; otherwise unfinished.
    reason : str
        Why it was rejected or is unfinished.
    """

    token_at_s: list[float] = field(default_factory=list)
    outcome: Outcome = Outcome.UNFINISHED
    reason: str = "ended before its stream did"

    def count(self, piece: dict[str, Any], now_s: float) -> None:
        """Take note of a piece: of as many tokens as its usage says, of one for a choice where it says none."""
        used = piece.get("usage") or {}
        total = used.get("completion_tokens") if isinstance(used, dict) else None
        if not isinstance(total, int):
            total = len(self.token_at_s) + bool(piece.get("choices"))
        new = total - len(self.token_at_s)
        if new > 0:
            self.token_at_s += [now_s] * new
        elif not piece.get("choices"):
            del self.token_at_s[max(total, 0) :]  # pieces without a token, as a last one that says the reason


async def streamed(
    client: httpx2.AsyncClient, body: dict[str, Any], headers: dict[str, str], now_s: Callable[[], float], came: Came
) -> None:
    """Sends a request to /v1/completions, and takes note of what comes; its stream is read to the end."""
    is_open = True
    try:
        async with client.stream("POST", "v1/completions", json=body, headers=headers) as response:
            if response.status_code >= 400:
                said = (await response.aread())[: 2**16]
                came.outcome, came.reason = Outcome.REJECTED, f"HTTP {response.status_code}: {_message(said)}"
                return
            async for line in response.aiter_lines():
                if is_open and line.startswith(PREFIX):
                    is_open = _take(line.removeprefix(PREFIX).strip(), now_s(), came)
    except httpx2.HTTPError as error:
        if is_open:
            reason = f"{type(error).__name__}: {str(error)[:MAX_SAID]}".strip(": ")
            came.outcome, came.reason = Outcome.UNFINISHED, reason


def _take(text: str, now_s: float, came: Came) -> bool:
    """Take note of an event; returns whether more may come."""
    if text == END:
        if came.token_at_s:
            came.outcome, came.reason = Outcome.FINISHED, ""
        else:
            came.reason = "its stream ended without a token"
        return False
    try:
        piece = json.loads(text) if len(text) <= MAX_LINE else None
    except ValueError:
        piece = None
    if not isinstance(piece, dict) or "error" in piece:
        came.reason = _message(text.encode())
        return False
    came.count(piece, now_s)
    return True


def _message(said: bytes) -> str:
    """What an error says, by OpenAI's body or as it stands."""
    text = said.decode(errors="replace")
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        text = str(json.loads(text)["error"]["message"])
    return one_line(text)[:MAX_SAID]
