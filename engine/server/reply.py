"""The two kinds of answers, whole or in pieces: what differs between completions and chats, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol

from engine.server.scored_tokens import ScoredText, ScoredToken
from engine.session.completion import Completion

END = b"data: [DONE]\n\n"
Scored = list[ScoredToken] | None  # None where nobody asks for it


@dataclass(frozen=True)
class Head:
    """What all pieces of an answer say: its number, when it was made, and the model's name."""

    answer_id: str
    created_s: int
    model: str

    def of(self, kind: str, choices: list[dict[str, Any]], usage: dict[str, int] | None) -> dict[str, Any]:
        """A body of this kind; without usage it has no such field."""
        body = {"id": self.answer_id, "object": kind, "created": self.created_s, "model": self.model}
        return {**body, "choices": choices, **({} if usage is None else {"usage": usage})}


class Reply(Protocol):
    """A kind of answer."""

    prefix: str
    whole: str
    piece: str

    def choice(self, index: int, completion: Completion, scored: Scored) -> dict[str, Any]:
        """A choice of a whole answer."""
        ...

    def part(self, index: int, text: str, scored: Scored, is_first: bool, ended: Completion | None) -> dict[str, Any]:
        """A choice in a piece of an answer, with new text, new tokens, and how it ended in its last."""
        ...


class CompletionReply:
    """Answers of /v1/completions."""

    prefix, whole, piece = "cmpl-", "text_completion", "text_completion"

    def choice(self, index: int, completion: Completion, scored: Scored) -> dict[str, Any]:
        """A choice of a whole answer."""
        return self.part(index, completion.text, scored, True, completion)

    def part(self, index: int, text: str, scored: Scored, is_first: bool, ended: Completion | None) -> dict[str, Any]:
        """A choice in a piece of an answer."""
        return {"index": index, "text": text, "logprobs": self._logprobs(scored), **_end(ended)}

    @staticmethod
    def _logprobs(scored: Scored) -> dict[str, Any] | None:
        if scored is None:
            return None
        likeliest = [{each.text: each.logprob for each in reversed(token.likeliest)} for token in scored]
        return {
            "tokens": [token.chosen.text for token in scored],
            "token_logprobs": [token.chosen.logprob for token in scored],
            "top_logprobs": likeliest,  # of two tokens with the same text the likelier one
            "text_offset": [token.offset for token in scored],
        }


class ChatReply:
    """Answers of /v1/chat/completions."""

    prefix, whole, piece = "chatcmpl-", "chat.completion", "chat.completion.chunk"

    def choice(self, index: int, completion: Completion, scored: Scored) -> dict[str, Any]:
        """A choice of a whole answer."""
        message = {"role": "assistant", "content": completion.text, "refusal": None}
        return {"index": index, "message": message, "logprobs": self._logprobs(scored), **_end(completion)}

    def part(self, index: int, text: str, scored: Scored, is_first: bool, ended: Completion | None) -> dict[str, Any]:
        """A choice in a piece of an answer; the first says the role."""
        delta = {"role": "assistant", "content": text} if is_first else {"content": text}
        return {"index": index, "delta": delta, "logprobs": self._logprobs(scored), **_end(ended)}

    @staticmethod
    def _logprobs(scored: Scored) -> dict[str, Any] | None:
        if scored is None:
            return None
        content = [
            {**_token(token.chosen), "top_logprobs": [_token(each) for each in token.likeliest]} for token in scored
        ]
        return {"content": content, "refusal": None}


def _token(scored: ScoredText) -> dict[str, Any]:
    return {"token": scored.text, "logprob": scored.logprob, "bytes": scored.content}


def _end(ended: Completion | None) -> dict[str, Any]:
    if ended is None:
        return {"finish_reason": None}
    return {"finish_reason": ended.finish_reason, "stop_reason": ended.stop_reason}


def usage(num_prompt_tokens: int, num_output_tokens: int) -> dict[str, int]:
    """Tokens that an answer took."""
    total = num_prompt_tokens + num_output_tokens
    return {"prompt_tokens": num_prompt_tokens, "completion_tokens": num_output_tokens, "total_tokens": total}


def event(body: dict[str, Any]) -> bytes:
    """A body as a server-sent event."""
    return b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
