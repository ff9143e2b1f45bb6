"""The result of a prompt, and why it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aptsched.scheduling.record import Outcome, RequestRecord
from engine.session.vocabulary import Vocabulary
from engine.state.request import Request, TokenLogprobs

FinishReason = Literal["stop", "length", "abort", "rejected"]


@dataclass(frozen=True, eq=False)
class Completion:
    """The result of a prompt.

    Attributes
    ----------
    prompt_token_ids, token_ids : list of int
        Of the output, the token that completes a stop string is the last one.
    text : str
        Without special tokens, cut before the first stop string; empty where the model has no tokenizer.
    record : RequestRecord
        Outcome, reason of a rejection, and when each token came.
    finish_reason : str
        "stop": a stop string, a stop token or the model's end-of-text token. "length": `max_tokens`, or the model's
        context length. "abort": somebody ended it, or the session was closed. "rejected": it can never be served, or
        its policy gave it up; `record.reason` says why.
    stop_reason : str, int or None
        The stop string or the token that ended it; None where the finish reason is not "stop".
    logprobs : list of TokenLogprobs or None
        For each token of the output the natural logarithm of its probability by the model's logits, before temperature,
        top_k and top_p, and the likeliest tokens with theirs; None where the parameters do not ask for it.
    """

    prompt_token_ids: list[int]
    token_ids: list[int]
    text: str
    record: RequestRecord
    finish_reason: FinishReason
    stop_reason: str | int | None
    logprobs: list[TokenLogprobs] | None = None


def completion_of(request: Request, record: RequestRecord, vocabulary: Vocabulary) -> Completion:
    """The completion of a request that has ended; its text is made of its tokens, whether or not they were streamed."""
    assert request.prompt_token_ids is not None
    text, stop_string = _text(request, vocabulary)
    reasons = _reasons(request, record.outcome, stop_string, vocabulary)
    logprobs = None if request.params.num_logprobs is None else request.output_logprobs
    return Completion(request.prompt_token_ids.tolist(), request.output_token_ids, text, record, *reasons, logprobs)


def _text(request: Request, vocabulary: Vocabulary) -> tuple[str, str | None]:
    """The text, and the stop string before which it is cut."""
    token_ids, stop = request.output_token_ids, request.params.stop
    if vocabulary.tokenizer is None:
        return "", None
    if not stop:
        return vocabulary.tokenizer.decode(token_ids), None
    text = vocabulary.output_text(stop)
    return "".join(map(text.push, token_ids)) + text.finish(), text.stop_string


def _reasons(
    request: Request, outcome: Outcome, stop_string: str | None, vocabulary: Vocabulary
) -> tuple[FinishReason, str | int | None]:
    if outcome is Outcome.REJECTED:
        return "rejected", None
    if outcome is not Outcome.FINISHED:
        return "abort", None
    if stop_string is not None:
        return "stop", stop_string
    params, last = request.params, request.output_token_ids[-1]
    ends = last in params.stop_token_ids or (not params.ignore_eos and last in vocabulary.eos_token_ids)
    return ("stop", last) if ends else ("length", None)
