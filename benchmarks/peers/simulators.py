"""Simulators on the same trace: CPU time beyond the start-up, iterations, and what is predicted.

Llama-2-7B on A100-80GB by roofline, ShareGPT lengths at 3.9 requests a second, 7,460 blocks of 16 tokens, a budget of
2,048 tokens and 256 sequences. The peers are given our rates: the share of the peaks that our roofline assumes.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aptsched.support.files import write
from aptsched.workload import generate
from benchmarks.peers.peer import Adapter, Peer
from benchmarks.peers.protocol import Fields
from benchmarks.tables import Row
from engine.models.find_config import find_config
from engine.simulator.gpu_file import find_gpu

MODEL, GPU = "llama-2-7b", "a100-80gb"
RATE_PER_S = 3.9
NUM_BLOCKS, MAX_TOKENS, MAX_SEQS = 7460, 2048, 256
ITERATION_S = 0.3e-3  # of a peer's every iteration: what ours takes for scheduling
SCHEDULERS = {  # ours, and the peers' that do most nearly the same
    "vllm-v1": {"sched-sim": "chunked", "vidur": "sarathi"},
    "fcfs": {"sched-sim": "fcfs", "vidur": "vllm"},
    f"sarathi:chunk_tokens={MAX_TOKENS}": {"sched-sim": "chunked", "vidur": "sarathi"},
    "aptserve": {},
}
Side = tuple[str, str]  # who, and its scheduler
OURS = "aptsched"
MODULES = {OURS: "run_aptsched", "sched-sim": "run_sched_sim", "vidur": "run_vidur"}
CSV_HEADS = {
    OURS: "arrived_at_s,prompt_tokens,output_tokens",
    "vidur": "arrived_at,num_prefill_tokens,num_decode_tokens",
}


def write_traces(folder: Path, sizes: Sequence[int], seed: int) -> None:
    """The first requests of the same trace as each reads it: CSV for us and Vidur, JSON for sched-sim."""
    trace = generate("sharegpt", max(sizes), np.random.default_rng(seed), rate_per_s=RATE_PER_S)
    assert trace.arrived_at_s is not None
    rows = list(zip(trace.arrived_at_s, trace.prompt_tokens.tolist(), trace.output_tokens.tolist(), strict=True))
    for size in sizes:
        lines = [f"{at:.6f},{prompt},{output}" for at, prompt, output in rows[:size]]
        for name, head in CSV_HEADS.items():
            write(folder / f"{name}-{size}", "\n".join([head, *lines]) + "\n")
        entries = [
            {"timestamp": round(float(at), 6), "prompt_tokens": prompt, "output_tokens": output}
            for at, prompt, output in rows[:size]
        ]
        write(folder / f"sched-sim-{size}", json.dumps(entries))


def hardware() -> Fields:
    """Model and GPU in sched-sim's terms, at the rates that our roofline reaches."""
    config, gpu = find_config(MODEL), find_gpu(GPU)
    return {
        "name": GPU,
        "memory_bandwidth_gb_s": gpu.bandwidth_bytes_per_s * gpu.efficiency.bandwidth / 1e9,
        "fp16_tflops": gpu.flops_per_s / 1e12,
        "tensor_core_efficiency": gpu.efficiency.compute,
        "kernel_launch_overhead_ms": 1e3 * ITERATION_S,
        "model_name": MODEL,
        "parameter_count_billions": (config.active_matrices + config.embedding) / 1e9,
        "num_layers": config.num_layers,
        "hidden_size": config.hidden_size,
        "num_heads": config.num_heads,
        "num_kv_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
    }


class Simulators:
    """The comparison.

    Parameters
    ----------
    pythons : dict of str
        Interpreters by peer: "aptsched", "sched-sim", "vidur".
    sizes : sequence of int
        Numbers of requests.
    rounds : int
        Over everything; the least CPU time counts.
    folder : Path
        For the traces.
    timeout_s : float
        Of one run.

    Attributes
    ----------
    faults : dict of str
        Why a peer has no figures.
    """

    def __init__(
        self,
        pythons: dict[str, str],
        sizes: Sequence[int],
        rounds: int,
        folder: Path,
        timeout_s: float,
        seed: int = 0,
    ) -> None:
        self.pythons, self.sizes, self.rounds, self.folder = pythons, sizes, rounds, folder
        self.timeout_s = timeout_s
        self.faults: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.answers: dict[tuple[Side, int], Fields] = {}
        self.cpu_s: dict[tuple[Side, int], float] = {}
        write_traces(folder, [1, *sizes], seed)

    def sides(self) -> list[Side]:
        """Ours, each with the peers' behind it; a peer's scheduler that answers for two of ours runs once."""
        found = dict.fromkeys(side for ours, theirs in SCHEDULERS.items() for side in ((OURS, ours), *theirs.items()))
        return list(found)

    def measure(self) -> None:
        """All sides in turn, in each round first one request and then each number; before it, one that warms up."""
        for side in self.sides():
            self._run(side, 1)
        self.cpu_s.clear()
        for _ in range(self.rounds):
            for size in (1, *self.sizes):
                for side in self.sides():
                    self._run(side, size)

    def _run(self, side: Side, size: int) -> None:
        name, scheduler = side
        if name in self.faults:
            return
        before = _cpu_s()
        with Peer(Adapter(name, self.pythons[name], MODULES[name]), self.timeout_s) as peer:
            answer = peer.ask(self._question(name, scheduler, size))
        cpu_s = _cpu_s() - before
        if answer is None:
            self.faults[name] = str(peer.fault)
            return
        self.versions[name], self.answers[side, size] = peer.version, answer
        self.cpu_s[side, size] = min(cpu_s, self.cpu_s.get((side, size), cpu_s))

    def _question(self, name: str, scheduler: str, size: int) -> Fields:
        trace = str(self.folder / f"{name}-{size}")
        if name == OURS:
            return {"arguments": _arguments(scheduler, trace)}
        limits = {"num_blocks": NUM_BLOCKS, "max_tokens": MAX_TOKENS, "max_seqs": MAX_SEQS}
        return {"trace": trace, "scheduler": scheduler, "hardware": hardware(), **limits}

    def rows(self) -> list[Row]:
        """One for each of our policies, number of requests and peer that has been measured."""
        found = []
        for size in self.sizes:
            for ours, theirs in SCHEDULERS.items():
                for other in theirs.items() or [(OURS, "vllm-v1")]:
                    sides = ((OURS, ours), other)
                    if all((side, count) in self.cpu_s for side in sides for count in (1, size)):
                        found.append(self._row(*sides, size))
        return found

    def _row(self, ours: Side, theirs: Side, size: int) -> Row:
        beyond = [max(self.cpu_s[side, size] - self.cpu_s[side, 1], 1e-9) for side in (ours, theirs)]
        found = [self.answers[side, size] for side in (ours, theirs)]
        each_us = [1e6 * cpu_s / answer["iterations"] for cpu_s, answer in zip(beyond, found, strict=True)]
        return {
            "policy": ours[1].partition(":")[0],
            "against": theirs[1] if theirs[0] == OURS else " ".join(theirs),
            "requests": size,
            "ratio": beyond[0] / beyond[1],
            "ours_s": beyond[0],
            "theirs_s": beyond[1],
            "ours_us": each_us[0],
            "theirs_us": each_us[1],
            "start_cpu_s": [self.cpu_s[side, 1] for side in (ours, theirs)],
            "predicted": found,
        }


def _arguments(policy: str, trace: str) -> list[str]:
    work = ["--model", MODEL, "--gpu", GPU, "--cost", "roofline", "--trace", trace, "--policy", policy]
    limits = {"--num-blocks": NUM_BLOCKS, "--max-tokens": MAX_TOKENS, "--max-seqs": MAX_SEQS, "--jobs": 1}
    return [*work, *(str(word) for pair in limits.items() for word in pair)]


def _cpu_s() -> float:
    """CPU time of all processes that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
