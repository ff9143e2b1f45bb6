"""How likely tokens were: what log-softmax says of the model's logits, whoever else is in the batch."""

from __future__ import annotations

import pytest
import torch

from engine.models.random_weights import random_weights
from engine.session.engine import Engine
from engine.state.sampling_params import MAX_LOGPROBS, SamplingParams
from live import CONFIG, exact_model
from plain_model import plain_logits

MODEL = exact_model()
WEIGHTS = random_weights(CONFIG, torch.Generator().manual_seed(1), torch.float64)
PROMPTS = [[5, 6, 7], list(range(10, 40)), [8, 9], list(range(60, 100))]


def expected(prompt: list[int], token_ids: list[int]) -> torch.Tensor:
    """Log-probabilities of each output token's position, [output, vocab], by a plain forward pass."""
    logits = plain_logits(CONFIG, WEIGHTS, prompt + token_ids)
    return logits[len(prompt) - 1 : -1].double().log_softmax(-1)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_they_are_those_of_the_logits(temperature: float) -> None:
    """Of the chosen token and the likeliest, before the temperature, of requests that are preempted too."""
    engine = Engine(MODEL, num_blocks=8, max_tokens=48)
    given = [
        SamplingParams(25, temperature, top_p=0.9, seed=seed, ignore_eos=True, num_logprobs=count)
        for seed, count in enumerate((5, None, 0, MAX_LOGPROBS))
    ]
    completions = engine.generate(PROMPTS, given)
    assert sum(each.record.num_preemptions for each in completions) > 0
    for prompt, params, done in zip(PROMPTS, given, completions, strict=True):
        if params.num_logprobs is None:
            assert done.logprobs is None
            continue
        assert done.logprobs is not None and len(done.logprobs) == len(done.token_ids) == 25
        for token_id, (logprob, likeliest), row in zip(
            done.token_ids, done.logprobs, expected(prompt, done.token_ids), strict=True
        ):
            assert logprob == pytest.approx(float(row[token_id]), abs=1e-9)
            top = row.topk(params.num_logprobs)
            assert [each for each, _ in likeliest] == top.indices.tolist()
            assert [each for _, each in likeliest] == pytest.approx(top.values.tolist(), abs=1e-9)


def test_tokens_do_not_depend_on_them() -> None:
    """The same are drawn with and without."""
    texts = [
        Engine(MODEL, num_blocks=60).generate(["hello"], SamplingParams(30, 1.0, seed=3, num_logprobs=count))[0].text
        for count in (None, 0, 3)
    ]
    assert texts[0] == texts[1] == texts[2]
