"""A simulated model on simulated GPUs, as a server of the serving study: computed cost, virtual time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from aptsched.scheduling.forms import BLOCK_SIZE, entry_of, lossy_ratios
from aptsched.scheduling.records import MANY
from aptsched.scheduling.wanted_forms import wanted_forms
from aptsched.support.checks import Floats, Ints
from engine.loop.clock import SchedulingTime
from engine.loop.limits import Limits
from engine.models.config import ModelConfig
from engine.models.hidden_attention import absorb_limit
from engine.models.plain_sizes import plain_sizes
from engine.simulator.believed import believed
from engine.simulator.computed_executor import ComputedExecutor
from engine.simulator.cost import Cost, find_cost
from engine.simulator.gpu_file import gpu_fields
from engine.simulator.gpu_memory import check_num_gpus, num_blocks
from engine.simulator.gpus import GPU
from engine.simulator.precision import BITS_16, Precision
from engine.simulator.skipping import Skipping
from engine.simulator.swap_times import BLOCKS, BYTES, COPIES_PER_LAYER, SWAPS, BlockSwaps, CopyTime, GroupedSwaps
from engine.simulator.work import Work
from engine.state.blocks import MAX_BLOCKS, check_counts
from engine.study.replay import Replay
from engine.study.serving import NamedPolicy, Server
from engine.study.swap_space import host_blocks

RARE = ("dequantise_s_per_token", "absorbed", "gather_s")  # fields of a cost that results have where they are not 0
HOST_POOLS = 4  # default host memory, in pools: 48 GB beside OPT-13B on A100-40GB


@dataclass(frozen=True)
class Setup:
    """The model, GPUs and cost that are simulated.

    Parameters
    ----------
    config : ModelConfig
    gpu : GPU
    num_gpus : int
        GPUs, tensor parallel.
    precision : Precision
        Bytes of the numbers of weights and cache.
    cost : str, optional
        As in `find_cost`.
    num_blocks : int, optional
        Blocks of the pool, in place of what the model leaves on the GPUs.
        Without it no more than `MAX_BLOCKS` are used.
    rho_s_per_block : float, optional
        The time to rebuild a block that policies believe, in place of the true one.
    executed_rho_s_per_block : float, optional
        The true time to rebuild a block, as is done in every iteration then, in place of what the cost says.
    swap_space : str, optional
        Bytes of host memory for requests that are swapped out, in place of `HOST_POOLS` times the pool, up to
        `MAX_BLOCKS`.
    hidden_attention : str
        How hidden states are read: "absorbed", or "rebuilt", as in Apt-Serve.
    foreign_calibration : bool
        Whether a calibration of another model is accepted as the cost.
    swap : str
        How swaps are made: one of `engine.simulator.swap_times.SWAPS`.
    scheduling : SchedulingTime
    """

    config: ModelConfig
    gpu: GPU
    num_gpus: int = 1
    precision: Precision = BITS_16
    cost: str | None = None
    num_blocks: int | None = None
    rho_s_per_block: float | None = None
    executed_rho_s_per_block: float | None = None
    swap_space: str | None = None
    hidden_attention: str = "absorbed"
    foreign_calibration: bool = False
    swap: str = BYTES
    scheduling: SchedulingTime = dataclasses.field(default_factory=SchedulingTime)


def simulated_server(setup: Setup, limits: Limits) -> Server:
    """The server of a setup; its context length is the model's.

    Raises
    ------
    InputError
        The model does not fit, the cost is not known, or a value is out of range.
    """
    check_num_gpus(setup.config, setup.num_gpus)
    cost = find_cost(
        setup.cost,
        setup.config,
        setup.gpu,
        setup.num_gpus,
        precision=setup.precision,
        foreign=setup.foreign_calibration,
    )
    if absorb_limit(setup.hidden_attention) == 0:
        cost = cost.rebuilding()
    if setup.executed_rho_s_per_block is not None:
        cost = cost.with_rho(setup.executed_rho_s_per_block)
    if setup.swap != BYTES:
        cost = dataclasses.replace(cost, source=f"{cost.source}; swaps {SWAPS[setup.swap]}")
    blocks = setup.num_blocks
    if blocks is None:
        blocks = min(num_blocks(setup.config, setup.gpu, setup.num_gpus, setup.precision), MAX_BLOCKS)
    kv_bytes = Fraction(setup.precision.kv_bytes)
    cache, lossy = setup.config.cache(kv_bytes), lossy_ratios(setup.config, kv_bytes)
    swap_space, block_bytes = setup.swap_space, setup.config.kv_bytes(setup.precision.kv_bytes) * cache.block_size
    on_host = min(HOST_POOLS * blocks, MAX_BLOCKS) if swap_space is None else host_blocks(swap_space, block_bytes)
    check_counts(blocks, on_host)
    executor = ComputedExecutor(cost, cache.with_forms(lossy))
    return Server(
        executor=executor,
        cache=cache,
        num_blocks=blocks,
        scheduling=setup.scheduling,
        limits=dataclasses.replace(limits, max_context=setup.config.max_positions),
        times=believed(cost, setup.rho_s_per_block),
        num_host_blocks=on_host,
        skipping=partial(Skipping, executor),
        lossy_ratios=lossy,
        executor_of_run=None if setup.swap == BYTES else partial(_executor_of_run, setup, executor, on_host),
    )


def _executor_of_run(setup: Setup, shared: ComputedExecutor, num_host_blocks: int) -> ComputedExecutor:
    """An executor of the same cost that makes swaps in pieces, and knows of none yet."""
    launch_s = COPIES_PER_LAYER * setup.config.num_layers * setup.gpu.efficiency.copy_launch_s
    copy_time = CopyTime(shared.cost.swap_s_per_block, launch_s)
    swap_time = BlockSwaps(copy_time) if setup.swap == BLOCKS else GroupedSwaps(copy_time, num_host_blocks)
    return ComputedExecutor(shared.cost, shared.cache, swap_time)


def unused_swaps(setup: Setup, server: Server) -> list[str]:
    """A notice that nothing is swapped in the way asked for, where there is no host memory."""
    return (
        [] if setup.swap == BYTES or server.num_host_blocks else [f"--swap {setup.swap}: there is no host to swap to."]
    )


def unmeasured_forms(policies: Iterable[NamedPolicy], server: Server) -> list[str]:
    """A notice for each form that a policy wants and may give, and that the calibration behind the cost lacks."""
    wanted = {form for policy in policies for form in wanted_forms(policy.make())}
    offered = server.cache.with_forms(server.lossy_ratios).offered
    return [
        f"The calibration has no iteration in {entry_of(form).label} form: what reading it takes beside its bytes is "
        "taken to be nothing. A new calibration measures it."
        for form in cost_of(server).unmeasured
        if form in wanted and form in offered
    ]


def simulated_setup(setup: Setup, server: Server) -> dict[str, Any]:
    """Model, GPU, cache, cost and times as plain values, for the results."""
    cost = cost_of(server)
    costs = {
        name: value
        for name, value in asdict(cost).items()
        if name not in ("notices", "unmeasured") and (value or name not in RARE)
    }
    return {
        "model": plain_sizes(setup.config),
        "gpu": {**gpu_fields(setup.gpu), "num_gpus": setup.num_gpus},
        "precision": asdict(setup.precision),
        "cache": {
            "num_blocks": server.num_blocks,
            "num_host_blocks": server.num_host_blocks,
            "block_size": server.cache.block_size,
            **server.cache.with_forms(server.lossy_ratios).as_fields(),
        },
        "cost": {**costs, "executed_rho_s_per_block": BLOCK_SIZE * cost.rebuild_s_per_token},
        "scheduling": asdict(setup.scheduling),
        "times": server.times.as_fields(),
    }


def cost_of(server: Server) -> Cost:
    """The cost of a simulated server."""
    executor = server.executor
    assert isinstance(executor, ComputedExecutor)
    return executor.cost


def alone_s(replay: Replay, cost: Cost) -> Floats:
    """Seconds that each request would take alone, [r]: one prefill, then decodes that each read one token more."""
    prompts, outputs = replay.num_prompt_tokens, replay.num_output_tokens
    spans = [slice(start, start + MANY) for start in range(0, len(replay), MANY)]
    return np.concatenate([_alone_s(prompts[span], outputs[span], cost) for span in spans])


def _alone_s(prompts: Ints, outputs: Ints, cost: Cost) -> Floats:
    """The same of some requests, by their lengths.

    Costs are affine in the context, so all decodes together take as long as the same number at the mean context.
    """
    more = outputs - 1
    prefill = Work(prefill_tokens=prompts, prefill_squares=prompts**2)
    decode = Work(decode_seqs=np.ones_like(prompts), context_tokens=prompts + np.maximum(more - 1, 0) / 2)
    return np.asarray(cost.seconds(prefill) + more * cost.seconds(decode), np.float64)
