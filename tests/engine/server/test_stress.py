"""Hundreds of clients at once: each gets its own text, and what the others do changes nothing."""

from __future__ import annotations

import asyncio
import json
import resource
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np
import pytest

from engine.session.engine import Engine
from engine.state.sampling_params import SamplingParams
from http_server import Served, serving
from live import CONFIG, MOST_S, exact_model, wait_until

NUM_REQUESTS, NUM_STREAMS = 500, 1000
NO_LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=None)


@dataclass
class Asked:
    """A request, the text that it gets alone, and after how many pieces its client goes."""

    body: dict[str, Any]
    text: str
    num_read: int | None


def asked(engine: Engine, rng: np.random.Generator) -> Asked:
    """A random one; about half have a stop string out of the text that comes without it."""
    prompt = rng.integers(3, CONFIG.vocab_size, int(rng.integers(1, 50))).tolist()
    given: dict[str, Any] = {
        "max_tokens": int(rng.integers(1, 50)),
        "temperature": float(rng.choice([0, 1])),
        "seed": int(rng.integers(99)),
    }
    text = engine.generate([prompt], SamplingParams(**given))[0].text
    if len(text) > 3 and rng.random() < 0.5:
        start = int(rng.integers(len(text) - 2))
        given["stop"] = text[start : start + int(rng.integers(1, 4))]
        text = engine.generate([prompt], SamplingParams(**given))[0].text
    num_read = int(rng.integers(0, 10)) if rng.random() < 0.2 else None
    return Asked({"prompt": prompt, **given}, text, num_read)


async def got(client: httpx2.AsyncClient, each: Asked, stream: bool) -> str:
    """What a client gets: the text, or as much of it as it reads before it goes."""
    if not stream and each.num_read is None:
        response = await client.post("/v1/completions", json=each.body)
        return str(response.json()["choices"][0]["text"])
    pieces: list[str] = []
    async with client.stream("POST", "/v1/completions", json={**each.body, "stream": True}) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                pieces.append(json.loads(line.removeprefix("data: "))["choices"][0]["text"])
            if each.num_read is not None and len(pieces) >= each.num_read:
                break
    return "".join(pieces)


async def of_all(served: Served, every: list[Asked]) -> list[str]:
    """What all of them get, at once."""
    async with httpx2.AsyncClient(base_url=served.url, limits=NO_LIMITS, timeout=MOST_S) as client:
        return await asyncio.gather(*(got(client, each, number % 2 == 0) for number, each in enumerate(every)))


@pytest.mark.slow
def test_five_hundred_clients_get_each_its_own_text() -> None:
    """With stop strings, and a fifth of them gone before the end: whole texts are those of the engine alone."""
    engine, rng = Engine(exact_model(), num_blocks=64), np.random.default_rng(7)
    every = [asked(engine, rng) for _ in range(NUM_REQUESTS)]
    with serving(max_requests=NUM_REQUESTS, policies=("aptserve",), num_blocks=40) as served:
        texts = asyncio.run(of_all(served, every))
        served.check_idle()
    for each, text in zip(every, texts, strict=True):
        assert text == each.text if each.num_read is None else each.text.startswith(text)
    assert sum(each.num_read is not None for each in every) > 50


@pytest.mark.slow
def test_a_thousand_open_streams_take_no_more_memory_the_second_time() -> None:
    """All at once, twice: what the first round needed is enough for the second, within 16 MiB."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    every = [Asked({"prompt": [5, 6, 7], "max_tokens": 8, "ignore_eos": True}, "", None) for _ in range(NUM_STREAMS)]
    with serving(max_requests=NUM_STREAMS) as served:
        peaks = []
        for _ in range(2):
            asyncio.run(of_all(served, every))
            wait_until(lambda: not served.service.in_flight.num_requests)
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        served.check_idle()
    assert peaks[1] - peaks[0] < 16 * 1024  # KiB
