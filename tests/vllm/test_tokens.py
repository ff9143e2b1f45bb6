"""On a real model vLLM says the same under a policy that does whatever is legal as it does alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from vllm import LLM, SamplingParams, TokensPrompt

from benchmarks.vllm_clock import LLAMA

NUM_REQUESTS = 500


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a tiny model, whose weights vLLM draws."""
    directory = tmp_path_factory.mktemp("model")
    (directory / "config.json").write_text(json.dumps(LLAMA | {"hidden_size": 128}), encoding="utf-8")
    return directory


@contextmanager
def engine(model: Path, caching: bool, policy: str | None) -> Iterator[LLM]:
    """vLLM in this process, with 30 blocks of 32 tokens, in fp32."""
    steered = {"scheduler_cls": "engine.vllm.AptScheduler"} if policy else {}
    llm = LLM(
        str(model),
        load_format="dummy",
        skip_tokenizer_init=True,
        dtype="float32",
        max_model_len=256,
        max_num_seqs=32,
        max_num_batched_tokens=256,
        block_size=32,
        num_gpu_blocks_override=30,
        enable_prefix_caching=caching,
        gpu_memory_utilization=0.05,
        enforce_eager=True,
        seed=1,
        disable_log_stats=True,
        additional_config={"aptsched": {"policy": policy, "slo_ttft_s": 1e6, "slo_tpot_s": 1e6}} if policy else {},
        **steered,
    )
    yield llm
    llm.llm_engine.engine_core.shutdown()


def texts(llm: LLM) -> list[list[int]]:
    """What the model says to 500 prompts that share their beginnings, greedily."""
    rng = np.random.default_rng(7)
    shared = rng.integers(3, 250, (4, 64)).tolist()
    prompts = [
        TokensPrompt(prompt_token_ids=shared[at % 4][: 32 * (at % 3)] + rng.integers(3, 250, 1 + at % 60).tolist())
        for at in range(NUM_REQUESTS)
    ]
    params = [
        SamplingParams(temperature=0, max_tokens=2 + at % 40, ignore_eos=True, detokenize=False)
        for at in range(NUM_REQUESTS)
    ]
    return [list(each.outputs[0].token_ids) for each in llm.generate(prompts, params, use_tqdm=False)]


@pytest.mark.parametrize("caching", [False, True], ids=["without a prefix cache", "with one"])
def test_tokens_are_those_of_vllm(
    caching: bool, model: Path, own_policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all 500 requests, none of which is lost, through many preemptions and holds."""
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    with engine(model, caching, None) as llm:
        expected = texts(llm)
    with engine(model, caching, f"{own_policies}:random") as llm:
        found = texts(llm)
        scheduler = llm.llm_engine.engine_core.engine_core.scheduler
        assert scheduler._figures.preempted_by_policy._value.get() > 100
    assert len({tuple(each) for each in expected}) > NUM_REQUESTS / 2
    assert found == expected
