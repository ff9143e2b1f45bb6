"""Our engine on prompts of tokens: greedy sampling, outputs of a given length."""

from __future__ import annotations

import time
from importlib.metadata import version

from benchmarks.peers.protocol import Answer, Fields, serve


def load(job: Fields) -> tuple[str, Answer]:
    """The model of the job in its dtype, with blocks for its largest batch."""
    import torch

    from engine.models.model import load_model
    from engine.session.engine import Engine
    from engine.state.sampling_params import SamplingParams

    torch.set_num_threads(job["threads"])
    num_blocks = job["max_batch"] * (job["num_tokens"] // 16 + 1)
    engine = Engine(load_model(job["directory"], job["dtype"]), num_blocks=num_blocks)
    params = SamplingParams(max_tokens=job["num_out"], ignore_eos=True)

    def generated(question: Fields) -> Fields:
        """Seconds of a batch, and its tokens."""
        started = time.perf_counter()
        found = engine.generate(question["prompts"], params)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "tokens": [list(completion.token_ids) for completion in found]}

    return version("aptsched"), generated


if __name__ == "__main__":
    serve("torch", load)
