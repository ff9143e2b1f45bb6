"""Requests are followed from an event loop, whenever they end."""

from __future__ import annotations

import asyncio

from engine.server.follower import Follower
from engine.server.wakeups import Wakeups
from engine.session.engine import Engine
from engine.state.sampling_params import SamplingParams
from live import MOST_S, exact_model


def test_a_request_that_ended_before_it_is_followed_is_told_of_once() -> None:
    """As one that is rejected at once: its place is free before anybody reads its end."""
    generation = Engine(exact_model(), num_blocks=20).session.add("ab", SamplingParams(max_tokens=2))
    generation.result(MOST_S)

    async def follow() -> list[Follower]:
        told: list[Follower] = []
        never = asyncio.get_running_loop().create_future()
        follower = Follower(
            [generation], lambda: never, Wakeups(asyncio.get_running_loop()), lambda: told.append(follower)
        )
        await follower.until(lambda: False)
        assert told == [follower]
        follower.close()
        return told

    assert len(asyncio.run(follow())) == 1
