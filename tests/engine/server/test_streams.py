"""What comes by a stream is what comes without, and what the engine generates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.session.engine import Engine
from engine.state.sampling_params import SamplingParams
from http_server import Served
from live import CONFIG, exact_model, together

NUM_STREAMS = 40


def asked(rng: np.random.Generator) -> dict[str, object]:
    """A random request by token ids."""
    return {
        "prompt": rng.integers(3, CONFIG.vocab_size, int(rng.integers(1, 40))).tolist(),
        "max_tokens": int(rng.integers(1, 40)),
        "temperature": float(rng.choice([0, 1])),
        "top_k": int(rng.choice([-1, 5])),
        "top_p": float(rng.choice([1, 0.9])),
        "seed": int(rng.integers(1000)),
        "ignore_eos": bool(rng.random() < 0.5),
    }


def alone(engine: Engine, body: dict[str, object]) -> str:
    """The text that the engine generates."""
    given = {**body, "top_k": max(int(str(body["top_k"])), 0)}
    prompt = given.pop("prompt")
    return engine.generate([prompt], SamplingParams(**given))[0].text  # type: ignore[arg-type, list-item]


def test_text_by_stream_is_the_text_without(served: Served) -> None:
    """Also with stop strings, which lie across tokens; all at once, and each as the engine generates it alone."""
    engine, rng = Engine(exact_model(), num_blocks=64), np.random.default_rng(5)
    bodies = [asked(rng) for _ in range(NUM_STREAMS)]
    for body in bodies[::2]:
        text = alone(engine, body)
        if len(text) > 4:
            body["stop"] = [text[2:4], "never"]
    texts = [alone(engine, body) for body in bodies]
    assert sum("stop" in body for body in bodies) > 5
    found = dict[int, tuple[str, str]]()

    def get(number: int, body: dict[str, object]) -> None:
        streamed = "".join(piece["choices"][0]["text"] for piece in served.pieces(**body))
        found[number] = (streamed, served.text(**body))

    together([lambda number=number, body=body: get(number, body) for number, body in enumerate(bodies)])  # type: ignore[misc]
    assert [found[number] for number in range(NUM_STREAMS)] == [(text, text) for text in texts]


def test_a_text_ends_before_its_stop_string(served: Served) -> None:
    """And the answer says which one it was, by a stream too."""
    body: dict[str, Any] = {"prompt": "ab", "max_tokens": 30, "temperature": 0, "ignore_eos": True}
    text = served.text(**body)
    stop = text[5:8]
    choice = served.complete(**body, stop=stop).json()["choices"][0]
    assert choice["text"] == text[: text.index(stop)]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", stop)
    last = served.pieces(**body, stop=stop)[-1]["choices"][0]
    assert (last["finish_reason"], last["stop_reason"]) == ("stop", stop)


@pytest.mark.parametrize("continuous", [False, True])
def test_usage_counts_tokens(served: Served, continuous: bool) -> None:
    """In the last piece, which has no choice, or in each; the sum is that of the answer without a stream."""
    body: dict[str, Any] = {"prompt": [5, 6, 7], "max_tokens": 9, "temperature": 0, "ignore_eos": True}
    whole = served.complete(**body).json()["usage"]
    assert whole == {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}
    options = {"include_usage": True, "continuous_usage_stats": continuous}
    pieces = served.pieces(**body, stream_options=options)
    assert pieces[-1]["choices"] == [] and pieces[-1]["usage"] == whole
    counts = [piece["usage"]["completion_tokens"] for piece in pieces[:-1] if continuous]
    assert counts == sorted(counts) and (not continuous or counts[-1] == 9)
    assert continuous or all(piece["usage"] is None for piece in pieces[:-1])


def test_several_prompts_have_a_choice_each(served: Served) -> None:
    """In their order, whole and by a stream."""
    prompts = ["ab", "xyz", "q"]
    body: dict[str, Any] = {"max_tokens": 6, "temperature": 0}
    texts = [served.text(prompt=prompt, **body) for prompt in prompts]
    answer = served.complete(prompt=prompts, **body).json()
    assert [choice["text"] for choice in answer["choices"]] == texts
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    streamed = ["", "", ""]
    for piece in served.pieces(prompt=prompts, **body):
        streamed[piece["choices"][0]["index"]] += piece["choices"][0]["text"]
    assert streamed == texts


def test_without_a_seed_each_text_is_drawn_anew(served: Served) -> None:
    """With one it is the same again."""
    body: dict[str, Any] = {"prompt": "ab", "max_tokens": 20, "ignore_eos": True}
    assert len({served.text(**body) for _ in range(3)}) == 3
    assert len({served.text(**body, seed=7) for _ in range(3)}) == 1
