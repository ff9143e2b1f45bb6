"""Whatever a client sends, it gets one clear error, and nothing is left in the engine."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.server.bodies import ChatBody, CompletionBody
from http_server import JSON, Served, error_in

NAMES = sorted({*CompletionBody.model_fields, *ChatBody.model_fields, "nope"})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4)


def error_of(served: Served, content: bytes, path: str = "/v1/completions", status: int = 400) -> dict[str, Any]:
    """The error that a body gets."""
    response = served.client.post(path, content=content, headers=JSON)
    assert response.status_code == status, response.text
    return error_in(response)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("n", 2),
            ("best_of", 2),
            ("echo", True),
            ("suffix", "x"),
            ("logprobs", 21),
            ("logprobs", True),
            ("min_p", 0.1),
            ("min_tokens", 1),
        ),
        *(("presence_penalty", 0.5), ("frequency_penalty", -1), ("repetition_penalty", 1.1), ("logit_bias", {"5": 1})),
        *(("temperature", -1), ("temperature", float("nan")), ("top_p", 0), ("top_k", -2), ("seed", -1), ("stop", "")),
        *(("stop", ["a"] * 17), ("max_tokens", 0), ("max_tokens", 1.5), ("max_tokens", "5"), ("stream", 1)),
        *(
            ("skip_special_tokens", False),
            ("skip_special_tokens", 1),
            ("echo", 0),
            ("use_beam_search", True),
            ("unknown", 1),
            ("prompt", []),
            ("prompt", ""),
        ),
        *(("prompt", [["a"]]), ("prompt", [-1]), ("prompt", None), ("stream_options", {"include_usage": True})),
    ],
)
def test_what_is_not_offered_is_refused_by_name(served: Served, field: str, value: object) -> None:
    """A field that would change the answer, at any value but the neutral one; a value that is out of range."""
    error = error_of(served, json.dumps({"prompt": "ab", field: value}).encode())
    assert error["param"] == field and error["message"].startswith(field)


def test_neutral_values_are_accepted(served: Served) -> None:
    """As clients send them, null among them."""
    neutral: dict[str, Any] = {"n": 1, "best_of": 1, "presence_penalty": 0, "frequency_penalty": 0.0, "min_p": 0}
    neutral |= {
        "repetition_penalty": 1.0,
        "logit_bias": {},
        "echo": False,
        "suffix": None,
        "logprobs": None,
        "user": "a",
    }
    assert served.complete(prompt="ab", max_tokens=1, **neutral).status_code == 200


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"prompt": "\xff"}', b'{"prompt": "\\ud800"}', b"[" * 100_000),
        *(b'{"prompt": "a", "max_tokens": 1' + b"0" * 5000 + b"}", b'{"prompt": "a", "temperature": 1e999}'),
    ],
)
def test_what_is_no_body_is_refused(served: Served, content: bytes) -> None:
    """No JSON, none of an object, no UTF-8, numbers that nothing holds."""
    assert error_of(served, content)["type"] == "invalid_request_error"


def test_long_prompts_are_refused(served: Served) -> None:
    """Ten megabytes by their size, whether or not that is said before; prompts beyond the context by that."""
    large = b'{"prompt": "' + b"a" * 10_000_000 + b'"}'
    assert "bytes" in error_of(served, large, status=413)["message"]
    chunks = served.client.post("/v1/completions", content=iter([large[:5_000_000], large[5_000_000:]]), headers=JSON)
    assert chunks.status_code == 413 and "bytes" in chunks.json()["error"]["message"]
    error = error_of(served, b'{"prompt": "' + b"a" * 100_000 + b'"}')
    assert error["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nope", 404), ("GET", "/v1/completions", 405), ("POST", "/v1/models", 405), ("POST", "/v1", 404)],
)
def test_other_paths_are_refused(served: Served, method: str, path: str, status: int) -> None:
    """With OpenAI's body too."""
    response = served.client.request(method, path)
    assert response.status_code == status and response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("x-slo-ttft-ms", "abc"), ("x-slo-ttft-ms", "0"), ("x-slo-tpot-ms", "-1"), ("x-slo-tpot-ms", "nan")),
        *(("x-priority", "1.5"), ("x-priority", "9" * 5000), ("x-tenant", "n" * 65)),
    ],
)
def test_headers_out_of_range_are_refused_by_name(served: Served, name: str, value: str) -> None:
    """Of objectives, priority and tenant."""
    response = served.complete({name: value}, prompt="ab")
    assert response.status_code == 400 and response.json()["error"]["param"] == name


def test_another_model_is_not_found(served: Served) -> None:
    """The error says which one is served."""
    error = served.complete(model="other", prompt="ab").json()["error"]
    assert error["code"] == "model_not_found" and "'tiny'" in error["message"]


@given(body=BODIES, is_chat=st.booleans())
@settings(max_examples=150, deadline=None)
def test_drawn_bodies_never_fail_the_server(served: Served, body: dict[str, Any], is_chat: bool) -> None:
    """They are answered, or refused with one error that has a message."""
    path = "/v1/chat/completions" if is_chat else "/v1/completions"
    content = json.dumps({**body, "max_tokens": body.get("max_tokens", 2)}, ensure_ascii=True).encode()
    response = served.client.post(path, content=content, headers=JSON)
    assert response.status_code in (200, 400, 404), response.text
    if response.status_code != 200:
        message = response.json()["error"]["message"]
        assert message and message.isprintable()


@pytest.mark.parametrize("is_nested", [False, True])
def test_the_schema_says_which_tokens_the_model_knows(served: Served, is_nested: bool) -> None:
    """Of prompts of token ids, one or several: what it has as the bound is refused, and what is one less is not."""
    kinds = served.client.get("/openapi.json").json()["components"]["schemas"]["CompletionBody"]["properties"]["prompt"]
    of_one = [each["items"] for each in kinds["anyOf"] if "items" in each]
    (bound,) = {
        ids["exclusiveMaximum"]
        for ids in ([each.get("items", {}) for each in of_one] if is_nested else of_one)
        if ids.get("type") == "integer"
    }
    for token, status in ((int(bound) - 1, 200), (int(bound), 400)):
        prompt = [[token]] if is_nested else [token]
        assert served.complete(prompt=prompt, max_tokens=1).status_code == status


def test_the_largest_seed_is_the_one_that_the_schema_says(served: Served) -> None:
    """To the last digit, though numbers in the schema are floats."""
    seed = served.client.get("/openapi.json").json()["components"]["schemas"]["CompletionBody"]["properties"]["seed"]
    (largest,) = {each["maximum"] for each in seed["anyOf"] if "maximum" in each}
    for value, status in ((int(largest), 200), (int(largest) + 1, 400)):
        assert served.complete(prompt="ab", max_tokens=1, seed=value).status_code == status
