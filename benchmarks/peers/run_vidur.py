"""Vidur, on the trace that it is given, with the profiles of its repository and predictions by random forest.

That is its default; one forest is learned in place of 27 to choose from. Its other way, polynomials of up to the fifth
degree, is faster to learn and worse: matrices with 16 to 24 tokens, which the profile has at 8.4 ms, it takes for 5.7.

Vidur is installed from a clone of its repository (`pip install -e`), where it looks for its profiles.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.peers.protocol import Answer, Fields, serve

LIMITS = {"vllm": "max_tokens_in_batch", "sarathi": "chunk_size"}
FOREST = {"num_estimators": 250, "max_depth": 32, "min_samples_split": 2}
UNUSED = ("write_metrics", "store_plots", "enable_chrome_trace")  # of its outputs
MAX_CONTEXT = 4096


def arguments(question: Fields, output: str) -> list[str]:
    """Vidur's own options for one run."""
    scheduler, predictor = question["scheduler"], "random_forrest_execution_time_predictor_config"  # as Vidur spells it
    given = {
        "replica_config_model_name": "meta-llama/Llama-2-7b-hf",
        "replica_config_device": "a100",
        "request_generator_config_type": "trace_replay",
        "trace_request_generator_config_trace_file": question["trace"],
        "replica_scheduler_config_type": scheduler,
        f"{scheduler}_scheduler_config_num_blocks": question["num_blocks"],
        f"{scheduler}_scheduler_config_batch_size_cap": question["max_seqs"],
        f"{scheduler}_scheduler_config_{LIMITS[scheduler]}": question["max_tokens"],
        "execution_time_predictor_config_type": "random_forrest",
        f"{predictor}_prediction_max_batch_size": question["max_seqs"],
        f"{predictor}_prediction_max_tokens_per_request": MAX_CONTEXT,
        **{f"{predictor}_{name}": value for name, value in FOREST.items()},
        "metrics_config_output_dir": output,
        "log_level": "error",
    }
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return ["vidur", *words, *(f"--no-metrics_config_{name}" for name in UNUSED)]


def simulated(question: Fields) -> Fields:
    """Run one simulation: iterations, and what it predicts."""
    from vidur.config import SimulationConfig
    from vidur.entities import Batch
    from vidur.simulator import Simulator
    from vidur.utils.random import set_seeds

    with tempfile.TemporaryDirectory() as output:
        sys.argv = arguments(question, output)
        config = SimulationConfig.create_from_cli_args()
        set_seeds(config.seed)
        simulator = Simulator(config)
        requests = [event._request for _, event in simulator._event_queue]
        simulator.run()
    done = [request for request in requests if request.completed]
    waits = [request.prefill_completed_at - request.arrived_at for request in done]
    percent = statistics.quantiles(waits * 2, n=100, method="inclusive")
    return {
        "iterations": Batch.generate_id(),
        "finished": len(done),
        "ttft_s": [statistics.median(waits), percent[98]],
        "tpot_s": statistics.median(
            (request.completed_at - request.prefill_completed_at) / max(1, request.num_decode_tokens - 1)
            for request in done
        ),
    }


def load(_: Fields) -> tuple[str, Answer]:
    """The run, in the folder where its profiles are."""
    from importlib.metadata import version

    import vidur

    os.chdir(Path(next(iter(vidur.__path__))).parent)
    return version("vidur"), simulated


if __name__ == "__main__":
    serve("vidur", load)
