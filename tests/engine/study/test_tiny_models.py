"""Models so small that a GPU has room for more blocks than a pool may have."""

from __future__ import annotations

from dataclasses import replace

from engine.loop.limits import Limits
from engine.models.known_models import MODELS
from engine.simulator.gpus import GPUS
from engine.state.blocks import MAX_BLOCKS
from engine.study.simulation import Setup, simulated_server

TINY = replace(MODELS["llama-3-8b"], num_layers=2, hidden_size=64, num_heads=4, num_kv_heads=2, head_dim=16)


def test_pool_and_host_have_no_more_blocks_than_they_may() -> None:
    """What is left on the GPU and four times as much on the host, cut where nothing else is asked for."""
    server = simulated_server(Setup(TINY, GPUS["a100-40gb"]), Limits())
    assert server.num_blocks < MAX_BLOCKS == server.num_host_blocks
    server = simulated_server(Setup(replace(TINY, num_layers=1, num_kv_heads=1), GPUS["h100"]), Limits())
    assert server.num_blocks == server.num_host_blocks == MAX_BLOCKS
