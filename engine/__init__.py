"""The serving loop, the block pool, and the executors that run a batch.

Imported before torch, it lets torch's threads on a CPU wait without spinning for long. GNU OpenMP reads when it is
loaded how often a waiting thread looks before it sleeps; by default that is some milliseconds, and on a machine with
other work the thread that spins keeps off the one it waits for. The number set here is some 30 microseconds, about as
long as waits are on a quiet machine.
"""

from __future__ import annotations

import os

from aptsched.support.exports import TYPE_CHECKING, lazily

__all__ = [
    "BlockPool",
    "CapacityOptions",
    "CapacityStudy",
    "Cluster",
    "Completion",
    "ComputedExecutor",
    "Engine",
    "Executor",
    "Generation",
    "LeastLoaded",
    "Loop",
    "Model",
    "Request",
    "RoundRobin",
    "Router",
    "SamplingParams",
    "SchedulingTime",
    "ServingStudy",
    "Session",
    "ShortestQueue",
    "SimulateOptions",
    "Worker",
    "capacity",
    "find_config",
    "find_cost",
    "find_gpu",
    "load_model",
    "simulate",
]

if TYPE_CHECKING:
    from engine.capacities.capacity import capacity
    from engine.capacities.capacity_study import CapacityStudy
    from engine.capacities.options import CapacityOptions
    from engine.cluster.cluster import Cluster
    from engine.cluster.router import LeastLoaded, RoundRobin, Router, ShortestQueue
    from engine.loop.clock import SchedulingTime
    from engine.loop.loop import Loop
    from engine.loop.worker import Worker
    from engine.models.find_config import find_config
    from engine.models.model import Model, load_model
    from engine.session.completion import Completion
    from engine.session.engine import Engine
    from engine.session.generation import Generation
    from engine.session.session import Session
    from engine.simulator.computed_executor import ComputedExecutor
    from engine.simulator.cost import find_cost
    from engine.simulator.gpu_file import find_gpu
    from engine.state.batch import Executor
    from engine.state.pool import BlockPool
    from engine.state.request import Request
    from engine.state.sampling_params import SamplingParams
    from engine.study.serving_study import ServingStudy
    from engine.study.simulate import simulate
    from engine.study.simulate_options import SimulateOptions
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "engine.capacities.capacity": ("capacity",),
            "engine.capacities.capacity_study": ("CapacityStudy",),
            "engine.capacities.options": ("CapacityOptions",),
            "engine.cluster.cluster": ("Cluster",),
            "engine.cluster.router": ("LeastLoaded", "RoundRobin", "Router", "ShortestQueue"),
            "engine.loop.clock": ("SchedulingTime",),
            "engine.loop.loop": ("Loop",),
            "engine.loop.worker": ("Worker",),
            "engine.models.find_config": ("find_config",),
            "engine.models.model": ("Model", "load_model"),
            "engine.session.completion": ("Completion",),
            "engine.session.engine": ("Engine",),
            "engine.session.generation": ("Generation",),
            "engine.session.session": ("Session",),
            "engine.simulator.computed_executor": ("ComputedExecutor",),
            "engine.simulator.cost": ("find_cost",),
            "engine.simulator.gpu_file": ("find_gpu",),
            "engine.state.batch": ("Executor",),
            "engine.state.pool": ("BlockPool",),
            "engine.state.request": ("Request",),
            "engine.state.sampling_params": ("SamplingParams",),
            "engine.study.serving_study": ("ServingStudy",),
            "engine.study.simulate": ("simulate",),
            "engine.study.simulate_options": ("SimulateOptions",),
        },
    )

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
