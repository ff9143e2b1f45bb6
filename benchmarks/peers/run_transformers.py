"""transformers' `generate` on a batch of prompts of equal length: greedy, outputs of a given length."""

from __future__ import annotations

import time

from benchmarks.peers.protocol import Answer, Fields, serve


def load(job: Fields) -> tuple[str, Answer]:
    """The model of the job in its dtype."""
    import torch
    import transformers

    torch.set_num_threads(job["threads"])
    transformers.utils.logging.set_verbosity_error()
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[job["dtype"]]
    model = transformers.AutoModelForCausalLM.from_pretrained(job["directory"], dtype=dtype).eval()
    lengths = {"max_new_tokens": job["num_out"], "min_new_tokens": job["num_out"]}

    def generated(question: Fields) -> Fields:
        """Seconds of a batch, and its tokens."""
        ids = torch.tensor(question["prompts"])
        started = time.perf_counter()
        with torch.inference_mode():
            found = model.generate(ids, do_sample=False, eos_token_id=None, pad_token_id=0, **lengths)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "tokens": found[:, ids.shape[1] :].tolist()}

    return transformers.__version__, generated


if __name__ == "__main__":
    serve("transformers", load)
