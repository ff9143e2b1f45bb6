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
    "Completion",
    "Engine",
    "Model",
    "SamplingParams",
    "ServingStudy",
    "SimulateOptions",
    "load_model",
    "simulate",
]

if TYPE_CHECKING:
    from engine.models.model import Model, load_model
    from engine.session.completion import Completion
    from engine.session.engine import Engine
    from engine.state.sampling_params import SamplingParams
    from engine.study.serving_study import ServingStudy
    from engine.study.simulate import simulate
    from engine.study.simulate_options import SimulateOptions
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "engine.models.model": ("Model", "load_model"),
            "engine.session.completion": ("Completion",),
            "engine.session.engine": ("Engine",),
            "engine.state.sampling_params": ("SamplingParams",),
            "engine.study.serving_study": ("ServingStudy",),
            "engine.study.simulate": ("simulate",),
            "engine.study.simulate_options": ("SimulateOptions",),
        },
    )

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
