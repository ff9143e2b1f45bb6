"""sched-sim, on the trace and with the hardware that it is given."""

from __future__ import annotations

from benchmarks.peers.protocol import Answer, Fields, serve

SPARED_GIB = 0.5  # of a GPU's memory, which sched-sim leaves free
GIB = 2**30


def simulated(question: Fields) -> Fields:
    """Run one simulation: iterations, and what it predicts."""
    from sched_sim.core.event_engine import Simulator
    from sched_sim.hardware.profile import HardwareProfile
    from sched_sim.schedulers.factory import create_scheduler
    from sched_sim.workloads.trace_loader import load_trace_file

    sizes = question["hardware"]
    hardware = HardwareProfile(**sizes)
    blocks_gib = (question["num_blocks"] + 0.5) * 16 * hardware.kv_bytes_per_token / GIB
    hardware = HardwareProfile(**sizes, vram_gb=hardware.model_weights_gb + SPARED_GIB + blocks_gib)
    scheduler = create_scheduler(
        question["scheduler"], hardware, token_budget=question["max_tokens"], max_batch_size=question["max_seqs"]
    )
    if scheduler.block_manager.total_gpu_blocks != question["num_blocks"]:
        raise ValueError(f"{scheduler.block_manager.total_gpu_blocks} blocks, not {question['num_blocks']}")
    simulator = Simulator(hardware, scheduler)
    simulator.submit_workload(load_trace_file(question["trace"]))
    figures = simulator.run()
    return {
        "iterations": figures.total_iterations,
        "finished": figures.completed_requests,
        "ttft_s": [figures.ttft_ms.p50 / 1e3, figures.ttft_ms.p99 / 1e3],
        "tpot_s": figures.tpot_ms.p50 / 1e3,
    }


def load(_: Fields) -> tuple[str, Answer]:
    """Its version, and the run."""
    from importlib.metadata import version

    import sched_sim  # noqa: F401  # missing, or not

    return version("sched-sim"), simulated


if __name__ == "__main__":
    serve("sched_sim", load)
