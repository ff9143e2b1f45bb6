"""llama.cpp through llama-cpp-python: a batch of prompts prefilled at once, then decoded a token at a time."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import Any

from benchmarks.peers.protocol import Answer, Fields, serve


def load(job: Fields) -> tuple[str, Answer]:
    """The model of the job, turned by llama.cpp itself into a file of its dtype."""
    import llama_cpp as lib

    path = str(Path(job["directory"]) / f"{job['dtype']}.gguf")
    quantize = lib.llama_model_quantize_default_params()
    quantize.ftype = {"fp32": lib.LLAMA_FTYPE_ALL_F32, "bf16": lib.LLAMA_FTYPE_MOSTLY_BF16}[job["dtype"]]
    quantize.allow_requantize, quantize.nthread = True, job["threads"]
    if lib.llama_model_quantize(job["gguf"].encode(), path.encode(), ctypes.byref(quantize)):
        raise OSError(f"{path}: llama.cpp could not write it")
    model = lib.llama_model_load_from_file(path.encode(), lib.llama_model_default_params())
    parts = lib.llama_context_default_params()
    parts.n_ctx = parts.n_batch = job["max_batch"] * (job["num_tokens"] + 64)
    parts.n_seq_max = job["max_batch"]
    parts.n_threads = parts.n_threads_batch = job["threads"]
    context = lib.llama_init_from_model(model, parts)
    if not context:
        raise OSError(f"{path}: llama.cpp made no context for it")
    return lib.__version__, Generator(lib, context, job["num_out"]).generated


class Generator:
    """Greedy generation of several sequences at once."""

    def __init__(self, lib: Any, context: Any, num_out: int) -> None:
        self.lib, self.context, self.num_out = lib, context, num_out
        self.sampler = lib.llama_sampler_init_greedy()

    def generated(self, question: Fields) -> Fields:
        """Seconds of a batch, and its tokens."""
        prompts = question["prompts"]
        self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), False)
        started = time.perf_counter()
        tokens = [[first] for first in self._next(prompts, 0)]
        for position in range(len(prompts[0]), len(prompts[0]) + self.num_out - 1):
            for known, token in zip(tokens, self._next([each[-1:] for each in tokens], position), strict=True):
                known.append(token)
        return {"seconds": time.perf_counter() - started, "tokens": tokens}

    def _next(self, sequences: list[list[int]], first: int) -> list[int]:
        """The next token of each sequence, of which these tokens stand at positions from `first` on."""
        lib = self.lib
        batch = lib.llama_batch_init(sum(map(len, sequences)), 0, 1)
        lasts = []
        for number, sequence in enumerate(sequences):
            for place, token in enumerate(sequence):
                at = batch.n_tokens
                batch.token[at], batch.pos[at] = token, first + place
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, number
                batch.logits[at] = place == len(sequence) - 1
                batch.n_tokens += 1
            lasts.append(batch.n_tokens - 1)
        failed = lib.llama_decode(self.context, batch)
        found = [] if failed else [lib.llama_sampler_sample(self.sampler, self.context, at) for at in lasts]
        lib.llama_batch_free(batch)
        if failed:
            raise RuntimeError(f"llama_decode: {failed}")
        return found


if __name__ == "__main__":
    serve("llama_cpp", load)
