"""A real model on a real clock, as a server of the serving study."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from aptsched.scheduling.forms import CacheForm, lossy_ratios
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.checks import Floats
from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.calibration import measure, switch
from engine.calibration.measure import Calibration
from engine.loop.limits import Limits
from engine.models.hidden_attention import ABSORBED, absorb_limit
from engine.models.model import Model
from engine.runner.cache_storage import block_bytes
from engine.runner.torch_executor import TorchExecutor
from engine.study.offered_forms import with_wanted
from engine.study.replay import Replay
from engine.study.served_run import FailedRun
from engine.study.serving import NamedPolicy, Server, attempt

THREADS_PER_CPU = 16  # more threads gain nothing, and OpenMP ends the process at very many


def set_threads(num_threads: int | None) -> None:
    """Let torch use so many threads; None leaves its number unchanged."""
    if num_threads is None:
        return
    most = THREADS_PER_CPU * (os.cpu_count() or 1)
    if not 1 <= num_threads <= most:
        accepted = f"1 to {most}, {THREADS_PER_CPU} for each CPU, are"
        raise InputError(f"threads: {shown(num_threads)} is not accepted; {accepted}")
    torch.set_num_threads(num_threads)


def live_server(
    model: Model,
    num_blocks: int,
    limits: Limits,
    times: IterationTime,
    num_host_blocks: int = 0,
    calibrated: bool = False,
    policies: Sequence[NamedPolicy] = (),
    absorb_up_to: int | None = None,
) -> Server:
    """The server of a model, with memory for its cache, in real time, and with the lossy forms that policies ask for.

    `calibrated` says whether times were measured; absorb_up_to is that of `TorchExecutor`.

    Raises
    ------
    InputError
        There is no memory for so many blocks, or a policy asks for a form that the model cannot have.
    """
    executor = TorchExecutor(model.decoder, num_blocks, num_host_blocks, absorb_up_to)
    limits = dataclasses.replace(limits, max_context=model.config.max_positions)
    lossy = lossy_ratios(model.config, model.decoder.dtype.itemsize)
    shape = model.config.cache()
    server = Server(executor, shape, num_blocks, None, limits, times, num_host_blocks, calibrated, lossy)
    server = with_wanted(server, policies)
    executor.prepare(server.lossy_ratios)
    return server


def calibrated(
    model: Model,
    progress: Callable[[int, int, str], None] = lambda num_done, total, doing: None,
    hidden_attention: str = ABSORBED,
) -> Calibration:
    """Measure the model in each form that takes time of its own, with a cache of its own that is freed afterwards.

    Hidden states are read as asked for, "absorbed" or "rebuilt"; if absorbed, chunks show up to how many new tokens.
    """
    lossy = lossy_ratios(model.config, model.decoder.dtype.itemsize)
    cache = model.config.cache().with_forms(lossy)
    forms = (
        CacheForm.KV,
        *measure.lossy_measured(cache),
    )  # lossy ones are measured beside the KV form that they are converted from
    num_blocks = max(
        *(cache.blocks(count, CacheForm.KV) for count in measure.PREFILLS),
        *(size * sum(cache.blocks(cached + 1, form) for form in forms) for size, cached in measure.DECODES),
    )
    names = (model.name, str(model.decoder.device), model.dtype)
    executor = TorchExecutor(model.decoder, num_blocks, measure.SWAPPED, absorb_limit(hidden_attention))
    absorbs = hidden_attention == ABSORBED and cache.offers(CacheForm.HIDDEN)
    return measure.calibrate(
        executor,
        cache,
        num_blocks,
        model.config.max_positions,
        names,
        measure.SWAPPED,
        progress,
        partial(_measured_switch, model) if absorbs else None,
    )


def _measured_switch(model: Model) -> int:
    """Up to how many new tokens attention over the model's hidden states is faster absorbed."""
    cache, max_positions = model.config.cache(), model.config.max_positions
    sizes = switch.chunk_sizes(model.config.absorb_up_to, max_positions)
    num_blocks = switch.num_blocks(sizes, max_positions, cache)
    absorbing, rebuilding = (TorchExecutor(model.decoder, num_blocks, 0, up_to) for up_to in (sizes[-1], 0))
    return switch.measured_switch(absorbing, rebuilding, sizes, max_positions, cache)


def warm_up(policies: Sequence[NamedPolicy], replay: Replay, server: Server) -> dict[str, str]:
    """Serve two tokens of one request with each policy, so that no run includes one-time costs.

    Returns
    -------
    dict
        From policies that failed to the reason.
    """
    failed = {}
    for policy in policies:
        run, stopped = attempt(policy, replay.warm_up(), server)
        if stopped:
            raise KeyboardInterrupt
        if isinstance(run, FailedRun):
            failed[policy.name] = run.reason
    return failed


def alone_s(replay: Replay, times: IterationTime) -> Floats | None:
    """Seconds that each request would take alone, [r]: a prefill, then decodes; None where times are of nothing."""
    prompts, more = replay.num_prompt_tokens, replay.num_output_tokens - 1
    prefill_s = times.fixed_s + times.prefill_s + times.per_token_s * prompts
    context = prompts + np.maximum(more - 1, 0) / 2  # the mean of the decodes
    decode_s = times.fixed_s + times.per_token_s + times.per_decode_s + times.per_context_token_s * context
    seconds: Floats = prefill_s + more * decode_s
    return seconds if (seconds > 0).all() else None


def live_setup(model: Model, server: Server, measured: Calibration | None) -> dict[str, Any]:
    """Model, cache and times of a run as plain values, for its results."""
    config = model.config
    return {
        "model": {
            "name": model.name,
            "architecture": config.architecture.name,
            "dtype": model.dtype,
            "device": str(model.decoder.device),
            "num_threads": torch.get_num_threads(),
            "max_positions": config.max_positions,
        },
        "cache": {
            "num_blocks": server.num_blocks,
            "num_host_blocks": server.num_host_blocks,
            "block_size": server.cache.block_size,
            "block_bytes": block_bytes(config, model.decoder.dtype),
            **server.cache.with_forms(server.lossy_ratios).as_fields(),
        },
        "times": {**server.times.as_fields(), "r_squared": None if measured is None else measured.r_squared},
    }
