"""Engines on the same prompts with the same weights: output tokens a second, prefill included.

SmolLM2-135M, 128 tokens in and 64 out, greedy. Each engine has a process of its own, which waits while the others have
their turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.peers.peer import Adapter, Peer
from benchmarks.peers.protocol import Fields
from benchmarks.peers.smollm2 import write_directory
from benchmarks.tables import Row
from engine.models.checkpoint import smollm2_path

NUM_IN, NUM_OUT = 128, 64
OURS = "aptsched"
MODULES = {OURS: "run_engine", "transformers": "run_transformers", "vllm": "run_vllm", "llama.cpp": "run_llama"}
FIRST_WORDS = 4  # of the vocabulary are special tokens


class Engines:
    """The comparison.

    Parameters
    ----------
    pythons : dict of str
        Interpreters by engine, as in `MODULES`.
    dtypes : sequence of str
        Of weights and cache: "fp32", "bf16".
    batches : sequence of int
        Sizes of batches.
    rounds : int
        Over all batches; the fastest counts. One more, before them, warms up.
    threads : int
        Of each engine.
    folder : Path
        For the model.
    timeout_s : float
        Of one answer.

    Attributes
    ----------
    faults : dict of str
        Why an engine has no figures.
    """

    def __init__(
        self,
        pythons: dict[str, str],
        dtypes: Sequence[str],
        batches: Sequence[int],
        rounds: int,
        threads: int,
        folder: Path,
        timeout_s: float,
        seed: int = 0,
    ) -> None:
        self.pythons, self.dtypes, self.batches, self.rounds = pythons, dtypes, batches, rounds
        self.threads, self.folder, self.timeout_s = threads, folder, timeout_s
        self.faults: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.answers: dict[tuple[str, str, int], Fields] = {}  # of dtype, engine, batch: the fastest
        rng = np.random.default_rng(seed)
        self.prompts = {size: rng.integers(FIRST_WORDS, 40_000, (size, NUM_IN)).tolist() for size in batches}

    def measure(self) -> None:
        """All engines in turn on each batch, one dtype after the other."""
        write_directory(self.folder)
        for dtype in self.dtypes:
            with ExitStack() as running:
                adapters = [self._adapter(name, dtype) for name in MODULES]
                peers = [running.enter_context(Peer(adapter, self.timeout_s)) for adapter in adapters]
                for number in range(self.rounds + 1):
                    for size in self.batches:
                        for peer in peers:
                            self._ask(peer, dtype, size, is_warm_up=number == 0)

    def _adapter(self, name: str, dtype: str) -> Adapter:
        job = {
            "directory": str(self.folder),
            "gguf": str(smollm2_path()),
            "dtype": dtype,
            "threads": self.threads,
            "num_out": NUM_OUT,
            "num_tokens": NUM_IN + NUM_OUT,
            "max_batch": max(self.batches),
        }
        environment = {
            "OMP_NUM_THREADS": str(self.threads),
            "HF_HUB_OFFLINE": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB
        }
        return Adapter(name, self.pythons[name], MODULES[name], job, environment)

    def _ask(self, peer: Peer, dtype: str, size: int, is_warm_up: bool) -> None:
        name = peer.adapter.name
        answer = peer.ask({"prompts": self.prompts[size]})
        if answer is None:
            self.faults[f"{name} {dtype}"] = str(peer.fault)
        elif not is_warm_up:
            self.versions[name] = peer.version
            known = self.answers.get((dtype, name, size), answer)
            self.answers[dtype, name, size] = min(known, answer, key=lambda each: float(each["seconds"]))

    def rows(self) -> list[Row]:
        """One for each batch and peer: our time over its own."""
        return [
            self._row(dtype, name, size)
            for dtype in self.dtypes
            for size in self.batches
            for name in MODULES
            if name != OURS and {(dtype, OURS, size), (dtype, name, size)} <= {*self.answers}
        ]

    def _row(self, dtype: str, name: str, size: int) -> Row:
        ours, theirs = self.answers[dtype, OURS, size], self.answers[dtype, name, size]
        same = sum(a == b for a, b in zip(ours["tokens"], theirs["tokens"], strict=True))
        return {
            "dtype": dtype,
            "batch": size,
            "against": name,
            "ratio": ours["seconds"] / theirs["seconds"],
            "ours_tokens_per_s": size * NUM_OUT / ours["seconds"],
            "theirs_tokens_per_s": size * NUM_OUT / theirs["seconds"],
            "same_outputs": f"{same} of {size}",
        }
