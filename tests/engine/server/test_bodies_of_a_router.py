"""What vllm-router adds to each body changes nothing, and anything else by those names is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from engine.server.bodies import ChatBody, CompletionBody

OF_BOTH: dict[str, Any] = {"no_stop_trim": False, "return_hidden_states": False, "skip_special_tokens": True}
OF_CHATS: dict[str, Any] = {
    "continue_final_message": False,
    "separate_reasoning": True,
    "stream_reasoning": True,
    "include_reasoning": True,
}
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "a"}]}


def test_what_a_router_adds_is_accepted() -> None:
    """In both bodies, at the values that it gives."""
    assert CompletionBody.model_validate({"prompt": "a", **OF_BOTH}).prompts == ["a"]
    assert ChatBody.model_validate({**CHAT, **OF_BOTH, **OF_CHATS}).messages[0].content == "a"


@pytest.mark.parametrize("name", [*OF_BOTH, *OF_CHATS])
def test_another_value_is_refused(name: str) -> None:
    """As it would ask for what is not done."""
    with pytest.raises(ValidationError, match=name):
        ChatBody.model_validate({**CHAT, name: not {**OF_BOTH, **OF_CHATS}[name]})
