"""Live engines on a tiny model with a byte-level tokenizer, and threads that cannot hang a test."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from byte_level import TOKENS, built
from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.model import Model
from engine.models.random_weights import random_weights

T = TypeVar("T")
MOST_S = 150.0  # after which a test fails that waits for something
CONFIG = ModelConfig(
    architecture=architecture.LLAMA,
    vocab_size=len(TOKENS),
    hidden_size=32,
    num_layers=2,
    num_heads=4,
    num_kv_heads=4,
    head_dim=8,
    intermediate_size=48,
    max_positions=128,
    activation="silu",
    norm_eps=1e-5,
    eos_token_ids=(2,),
)


def exact_model() -> Model:
    """In float64, so that no batch brings two logits so close that another token is chosen."""
    weights = random_weights(CONFIG, torch.Generator().manual_seed(1), torch.float64)
    return Model("tiny", Decoder(CONFIG, weights), built())


def together(calls: Sequence[Callable[[], object]], here: Callable[[], object] = lambda: None) -> None:
    """Makes each call in a thread of its own; fails if one does not return in time, or with what the first one raised.

    Another one is made in this thread meanwhile. Threads that hang do not keep the process from ending.
    """
    errors: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,), daemon=True) for call in calls]
    until_s = time.monotonic() + MOST_S
    for thread in threads:
        thread.start()
    run(here)
    for thread in threads:
        thread.join(max(0.0, until_s - time.monotonic()))
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads), "a thread waits for what never comes"


def in_time(call: Callable[[], T]) -> T:
    """What a call returns, made in a thread of its own: it fails if that is not in time."""
    found: list[T] = []
    together([lambda: found.append(call())])
    return found[0]


def wait_until(is_so: Callable[[], bool]) -> None:
    """Returns once it is so; fails if that does not come."""

    def look() -> None:
        while not is_so():
            threading.Event().wait(0.002)

    in_time(look)


@dataclass
class Gated:
    """First come, first served, once it is let; so many decisions need no leave."""

    gate: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)
    num_free: int = 0

    def decide(self, view: View) -> Plan:
        """The plan, when the gate is open."""
        self.num_free -= 1
        if self.num_free < 0:
            self.asked.set()
            assert self.gate.wait(MOST_S), "nobody opens the gate"
        return FCFS().decide(view)
