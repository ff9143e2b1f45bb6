"""vLLM on a CPU: its offline engine on prompts of tokens, greedy, outputs of a given length."""

from __future__ import annotations

import time

from benchmarks.peers.protocol import Answer, Fields, serve


def load(job: Fields) -> tuple[str, Answer]:
    """The model of the job in its dtype, without a cache of prefixes, as no two prompts share one."""
    import vllm

    engine = vllm.LLM(
        model=job["directory"],
        dtype={"fp32": "float32", "bf16": "bfloat16"}[job["dtype"]],
        skip_tokenizer_init=True,
        max_model_len=job["num_tokens"],
        max_num_seqs=job["max_batch"],
        enable_prefix_caching=False,
    )
    params = vllm.SamplingParams(temperature=0.0, max_tokens=job["num_out"], ignore_eos=True, detokenize=False)

    def generated(question: Fields) -> Fields:
        """Seconds of a batch, and its tokens."""
        prompts = [{"prompt_token_ids": prompt} for prompt in question["prompts"]]
        started = time.perf_counter()
        found = engine.generate(prompts, params, use_tqdm=False)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "tokens": [list(each.outputs[0].token_ids) for each in found]}

    return vllm.__version__, generated


if __name__ == "__main__":
    serve("vllm", load)
