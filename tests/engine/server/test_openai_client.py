"""OpenAI's own client, and the key that it sends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from engine.models.model import load_model
from http_server import Served, serving
from tiny_model import OPT, save_model

KEY = "a key"


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a model with a chat template, which asks for a key."""
    directory = Path(save_model(tmp_path_factory.mktemp("chat") / "model", OPT, chat=True))
    with serving(model=load_model(directory), api_key=KEY) as served:
        yield served


@pytest.fixture
def client(chatting: Served) -> Iterator[openai.OpenAI]:
    """A client without tries of its own."""
    with openai.OpenAI(base_url=f"{chatting.url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def test_the_models_are_listed(client: openai.OpenAI) -> None:
    """The one that is served."""
    assert [model.id for model in client.models.list()] == ["tiny"]


def test_a_completion_and_its_stream(client: openai.OpenAI) -> None:
    """Equal texts; the stream ends with the usage of the whole answer."""
    whole = client.completions.create(model="tiny", prompt="ab", max_tokens=8, temperature=0)
    stream = client.completions.create(
        model="tiny", prompt="ab", max_tokens=8, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    pieces = list(stream)
    assert "".join(choice.text for piece in pieces for choice in piece.choices) == whole.choices[0].text
    assert pieces[-1].usage == whole.usage and whole.choices[0].finish_reason == "length"


def test_a_chat_with_content_in_parts(client: openai.OpenAI) -> None:
    """Parts are joined by line breaks; the first piece of a stream says the role, and no other."""
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    answers = [
        client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": content}],  # type: ignore[list-item, misc]
            max_completion_tokens=8,
            temperature=0,
        )
        for content in ("a\nb", parts)
    ]
    assert answers[0].choices[0].message.content == answers[1].choices[0].message.content
    stream = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "a\nb"}], max_tokens=8, temperature=0, stream=True
    )
    deltas = [piece.choices[0].delta for piece in stream]
    assert "".join(delta.content or "" for delta in deltas) == answers[0].choices[0].message.content
    assert [delta.role for delta in deltas] == ["assistant", *[None] * (len(deltas) - 1)]


def test_errors_are_of_the_clients_classes(client: openai.OpenAI, chatting: Served) -> None:
    """Each by its status: a bad request, a model that is not there, a key that is not known."""
    with pytest.raises(openai.BadRequestError, match="n: 2 is not accepted"):
        client.completions.create(model="tiny", prompt="ab", n=2)
    with pytest.raises(openai.NotFoundError, match="'other' is not served"):
        client.completions.create(model="other", prompt="ab")
    with (
        openai.OpenAI(base_url=f"{chatting.url}/v1", api_key="x", max_retries=0) as other,
        pytest.raises(openai.AuthenticationError),
    ):
        other.models.list()
    assert chatting.client.get("/health").status_code == chatting.client.get("/metrics").status_code == 200
