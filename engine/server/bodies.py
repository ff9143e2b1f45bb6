"""What clients send: the bodies of /v1/completions and /v1/chat/completions, each field with what is accepted.

A field of OpenAI's or vLLM's interface that changes nothing at its neutral value is accepted at that value alone; any
other value, and any other field, is refused by name, so that nobody takes for done what is not.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from aptsched.support.checks import MAX_COUNT
from aptsched.support.errors import InputError
from engine.state.sampling_params import MAX_LOGPROBS, SamplingParams


def _only(accepted: bool, given: bool) -> bool:
    """The value, if it is the one accepted; a literal of pydantic's would take 0 and 1 too."""
    if given is not accepted:
        raise ValueError(f"{str(accepted).lower()} is")
    return given


MAX_WHOLE = 2.0**63  # beyond it a float is no number that a field of whole ones accepts
MAX_SEED = 9_223_372 * 10**12  # nearly 2**63; and a float, as numbers in the schema are written, is exactly this
MAX_PROMPTS = 128  # of one request to /v1/completions
DEFAULT_TOKENS = 16  # output tokens of a completion, as in OpenAI's interface
NoMore = Annotated[float | None, Field(ge=0, le=0)]
Once = Annotated[float | None, Field(ge=1, le=1)]
On = Annotated[bool, AfterValidator(partial(_only, True)), WithJsonSchema({"const": True})]
Off = Annotated[bool, AfterValidator(partial(_only, False)), WithJsonSchema({"const": False})]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
TokenIds = Annotated[list[TokenId], Field(min_length=1)]
NumLogprobs = Annotated[int, Field(ge=0, le=MAX_LOGPROBS)]
Text = Annotated[str, Field(min_length=1)]
StopText = Annotated[str, Field(min_length=1, max_length=256)]


def _whole(given: Any) -> Any:
    """A value of JSON in which 5.0 is written as 5, for a schema knows no difference; others are as they were."""
    if isinstance(given, float) and abs(given) <= MAX_WHOLE and given.is_integer():
        return int(given)
    if isinstance(given, dict):
        return {name: _whole(value) for name, value in given.items()}
    if isinstance(given, list) and not set(map(type, given)) <= {int, str}:
        return [_whole(value) for value in given]
    return given


class Strict(BaseModel):
    """A body without conversions, but of whole numbers that are written as 5.0, and without other fields."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    _of_json = model_validator(mode="before")(_whole)


def _needs(field: str, idle: list[Any], needed: str) -> dict[str, Any]:
    """As a schema says that a field has one of these values, as if it were not there, or another one is true."""
    is_idle = {"properties": {field: {"enum": idle}}}
    return {"anyOf": [is_idle, {"properties": {needed: {"const": True}}, "required": [needed]}]}


OPTIONS_OF_STREAMS = _needs("stream_options", [None], "stream")


class StreamOptions(Strict):
    """What a stream says beside the text: tokens used, at its end or with each piece."""

    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class Sampled(Strict):
    """The fields that both bodies have; null is the same as leaving a field out."""

    model_config = ConfigDict(json_schema_extra={"allOf": [OPTIONS_OF_STREAMS]})
    model: str | None = None
    max_tokens: Annotated[int | None, Field(ge=1, le=MAX_COUNT)] = None
    temperature: Annotated[float | None, Field(ge=0, le=100)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    top_k: Annotated[int | None, Field(ge=-1, le=2**31)] = None
    seed: Annotated[int | None, Field(ge=0, le=MAX_SEED)] = None
    stop: StopText | Annotated[list[StopText], Field(max_length=16)] | None = None
    stop_token_ids: Annotated[list[TokenId] | None, Field(max_length=1024)] = None
    ignore_eos: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    n: Annotated[int | None, Field(ge=1, le=1)] = None
    presence_penalty: NoMore = None
    frequency_penalty: NoMore = None
    repetition_penalty: Once = None
    length_penalty: Once = None
    min_p: NoMore = None
    min_tokens: Annotated[int | None, Field(ge=0, le=0)] = None
    logit_bias: Annotated[dict[str, float] | None, Field(max_length=0)] = None
    skip_special_tokens: On | None = None
    use_beam_search: Off | None = None
    no_stop_trim: Off | None = None  # this and the next are of vllm-router, which names them in each body
    return_hidden_states: Off | None = None

    @property
    def streams(self) -> StreamOptions | None:
        """What the stream says beside the text; None where none is asked for.

        Raises
        ------
        InputError
            Options of a stream are given, and no stream is asked for.
        """
        if self.stream:
            return self.stream_options or StreamOptions()
        if self.stream_options is not None:
            raise InputError("stream_options: they are not accepted without stream; with it they are")
        return None

    def params(self, default_tokens: int, seed: int, num_logprobs: int | None) -> SamplingParams:
        """The sampling of a request, with so many tokens and this seed where the body has none."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return SamplingParams(
            max_tokens=self.most_tokens or default_tokens,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=max(self.top_k or 0, 0),
            seed=seed if self.seed is None else self.seed,
            stop_token_ids=tuple(self.stop_token_ids or ()),
            ignore_eos=bool(self.ignore_eos),
            stop=stop,
            num_logprobs=num_logprobs,
        )

    @property
    def most_tokens(self) -> int | None:
        """Most output tokens, where the body says so."""
        return self.max_tokens


class CompletionBody(Sampled):
    """The body of /v1/completions: one prompt or several, as texts or as token ids."""

    prompt: (
        Text
        | TokenIds
        | Annotated[list[Text], Field(min_length=1, max_length=MAX_PROMPTS)]
        | Annotated[list[TokenIds], Field(min_length=1, max_length=MAX_PROMPTS)]
    )
    best_of: Annotated[int | None, Field(ge=1, le=1)] = None
    echo: Off | None = None
    suffix: Annotated[str | None, Field(max_length=0)] = None
    logprobs: NumLogprobs | None = None

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """All prompts."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        given: list[Any] = list(self.prompt)
        return [given] if isinstance(given[0], int) else given


class TextPart(Strict):
    """A part of a message's content; there are no others than text."""

    type: Literal["text"]
    text: str


class Message(Strict):
    """A message of a chat."""

    role: Annotated[str, Field(min_length=1, max_length=64)]
    content: str | list[TextPart] | None = None
    name: str | None = None

    def plain(self) -> dict[str, str]:
        """As chat templates take it: parts joined by line breaks."""
        parts = self.content if isinstance(self.content, list) else None
        text = "\n".join(part.text for part in parts) if parts is not None else self.content or ""
        return {"role": self.role, "content": str(text), **({"name": self.name} if self.name else {})}


class PlainText(Strict):
    """The format of an answer: text."""

    type: Literal["text"]


class ChatBody(Sampled):
    """The body of /v1/chat/completions."""

    model_config = ConfigDict(
        json_schema_extra={"allOf": [OPTIONS_OF_STREAMS, _needs("top_logprobs", [0, None], "logprobs")]}
    )
    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int | None, Field(ge=1, le=MAX_COUNT)] = None
    response_format: PlainText | None = None
    tools: Annotated[list[Any] | None, Field(max_length=0)] = None
    logprobs: bool | None = None
    top_logprobs: NumLogprobs | None = None
    continue_final_message: Off | None = None  # this and the next are of vllm-router; there is no reasoning to part
    separate_reasoning: On | None = None
    stream_reasoning: On | None = None
    include_reasoning: On | None = None

    @property
    def most_tokens(self) -> int | None:
        """Most output tokens, by the newer of two names if both are given."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def num_logprobs(self) -> int | None:
        """Of how many of the likeliest tokens it is told how likely they are, beside the chosen one; None tells none.

        Raises
        ------
        InputError
            Some of the likeliest tokens are asked for without logprobs.
        """
        if self.logprobs:
            return self.top_logprobs or 0
        if self.top_logprobs:
            raise InputError("top_logprobs: they are not accepted without logprobs; with it they are")
        return None


FIELDS = frozenset(
    name for body in (CompletionBody, ChatBody, StreamOptions, Message, TextPart) for name in body.model_fields
)
