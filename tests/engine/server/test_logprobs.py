"""How likely tokens were, as OpenAI's bodies say it: whole, by streams, and to OpenAI's own client."""

from __future__ import annotations

import math
from typing import Any

import openai
import pytest

from engine.models.model import Model
from engine.server.scored_tokens import text_of
from engine.session.engine import Engine
from engine.state.request import TokenLogprobs
from engine.state.sampling_params import SamplingParams
from http_server import Served, serving
from live import exact_model
from tiny_model import CHAT_TEMPLATE

MODEL = exact_model()
BODY: dict[str, Any] = {"prompt": "the \u00e9", "max_tokens": 40, "temperature": 1, "seed": 3, "ignore_eos": True}
ALONE = Engine(MODEL, num_blocks=60).generate(
    ["the \u00e9"], SamplingParams(40, 1.0, seed=3, ignore_eos=True, num_logprobs=4)
)[0]


def of_engine() -> list[TokenLogprobs]:
    """What the engine says of each token."""
    assert ALONE.logprobs is not None
    return ALONE.logprobs


def name(token_id: int) -> str:
    """A token as a client sees it."""
    return text_of(MODEL.tokenizer, token_id)


def check(found: dict[str, list[Any]]) -> None:
    """It is what the engine says of the same tokens."""
    assert found["tokens"] == [name(token_id) for token_id in ALONE.token_ids]
    assert found["token_logprobs"] == pytest.approx([logprob for logprob, _ in of_engine()])
    for top, (_, likeliest) in zip(found["top_logprobs"], of_engine(), strict=True):
        assert top == pytest.approx({name(token_id): value for token_id, value in reversed(likeliest)})


def test_a_completion_says_them_and_where_tokens_stand(served: Served) -> None:
    """Whole and by a stream; an offset is the text before it, and what is no text of its own is named by its number."""
    whole = served.complete(**BODY, logprobs=4).json()["choices"][0]
    check(whole["logprobs"])
    pieces = [piece["choices"][0]["logprobs"] for piece in served.pieces(**BODY, logprobs=4)]
    joined = {key: [each for piece in pieces for each in piece[key]] for key in whole["logprobs"]}
    check(joined)
    assert joined["text_offset"] == whole["logprobs"]["text_offset"]
    for token, offset in zip(whole["logprobs"]["tokens"], whole["logprobs"]["text_offset"], strict=True):
        assert token.startswith("token_id:") or whole["text"][offset:].lstrip("\ufffd").startswith(token)
    assert any(token.startswith("token_id:") for token in whole["logprobs"]["tokens"])


def test_a_chat_says_them_with_bytes() -> None:
    """By OpenAI's client, whole and by a stream, equal."""
    with (
        serving(model=with_template()) as chatting,
        openai.OpenAI(base_url=f"{chatting.url}/v1", api_key="-") as client,
    ):
        asked: dict[str, Any] = {
            "model": "tiny",
            "messages": [{"role": "user", "content": "the"}],
            "max_tokens": 12,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 3,
        }
        whole = client.chat.completions.create(**asked).choices[0].logprobs
        pieces = [each.choices[0].logprobs for each in client.chat.completions.create(**asked, stream=True)]
    assert whole is not None and whole.content is not None
    assert [token for piece in pieces for token in piece.content] == whole.content
    assert len(whole.content) == 12
    for token in whole.content:
        assert bytes(token.bytes or b"") == token.token.encode()
        assert len(token.top_logprobs) == 3 and token.top_logprobs[0].logprob == token.logprob  # greedy
        assert sum(math.exp(each.logprob) for each in token.top_logprobs) <= 1 + 1e-9


def with_template() -> Model:
    """The tiny model, for chats."""
    assert MODEL.tokenizer is not None
    return Model("tiny", MODEL.decoder, type(MODEL.tokenizer)(MODEL.tokenizer.backend, CHAT_TEMPLATE))


def test_without_a_tokenizer_tokens_are_named_by_their_numbers() -> None:
    """As no text is there."""
    with serving(model=Model("bare", MODEL.decoder)) as bare:
        found = bare.complete(prompt=[5, 6], max_tokens=3, ignore_eos=True, temperature=0, logprobs=1).json()
    logprobs = found["choices"][0]["logprobs"]
    assert all(token.startswith("token_id:") for token in logprobs["tokens"]) and logprobs["text_offset"] == [0, 0, 0]


def test_who_does_not_ask_is_told_nothing(served: Served) -> None:
    """Nor is anything computed: null in completions; of the likeliest alone in chats it is refused by name."""
    assert served.complete(**BODY).json()["choices"][0]["logprobs"] is None
    assert all(piece["choices"][0]["logprobs"] is None for piece in served.pieces(**BODY))
    body = {"messages": [{"role": "user", "content": "a"}], "top_logprobs": 2}
    response = served.client.post("/v1/chat/completions", json=body)
    assert response.status_code == 400 and response.json()["error"]["param"] == "top_logprobs"
