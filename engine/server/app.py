"""The application: which paths there are, and who may use them."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from aptsched.support.errors import InputError
from engine.server.answering import answered
from engine.server.api_errors import ApiError, ErrorBody, answer
from engine.server.bodies import DEFAULT_TOKENS, ChatBody, CompletionBody
from engine.server.body_limit import BodyLimit
from engine.server.live_routes import Live, page, router
from engine.server.reply import ChatReply, CompletionReply
from engine.server.service import Service

MAX_BODY = 8 * 2**20  # bytes
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
STREAM: dict[str, Any] = {"text/event-stream": {}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorBody, "description": "What is wrong with the request."},
    "5XX": {"model": ErrorBody, "description": "The server is closing, or has failed."},
}
ANSWERS = RESPONSES | {200: {"description": "The answer.", "content": {"application/json": {}, **STREAM}}}


class Interface(FastAPI):
    """The application; its schema says which token ids the model knows.

    Parameters
    ----------
    num_tokens : int
        Of the model's vocabulary.
    """

    def __init__(self, num_tokens: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._num_tokens = num_tokens

    def openapi(self) -> dict[str, Any]:
        """The schema, where tokens of prompts, alone or in lists, are below the vocabulary's size."""
        schema = super().openapi()
        for kind in schema["components"]["schemas"][CompletionBody.__name__]["properties"]["prompt"]["anyOf"]:
            of_one = kind.get("items", {})
            for each in (of_one, of_one.get("items", {})):
                if each.get("type") == "integer":
                    each["exclusiveMaximum"] = self._num_tokens
        return schema


def application(live: Live, api_key: str | None = None) -> FastAPI:
    """OpenAI's interface, health and metrics of a service, and its live page.

    Parameters
    ----------
    live : Live
        The page and its service.
    api_key : str, optional
        What clients have to send for all but health, metrics and the page itself.
    """
    num_tokens = live.service.session.vocabulary.size
    app = Interface(num_tokens, title="aptsched", responses=RESPONSES, docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY)
    for kind in (ApiError, InputError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)
    app.state.service, app.state.api_key = live.service, api_key
    guarded = [] if api_key is None else [Depends(check_key)]
    app.get("/", response_class=HTMLResponse)(page)
    app.include_router(router(live), dependencies=guarded)
    app.get("/health")(health)
    app.get("/metrics", response_class=Response)(metrics)
    app.get("/v1/models", dependencies=guarded)(models)
    app.post("/v1/completions", dependencies=guarded, responses=ANSWERS)(completions)
    app.post("/v1/chat/completions", dependencies=guarded, responses=ANSWERS)(chat_completions)
    return app


def check_key(request: Request, given: Bearer) -> None:
    """Raises ApiError unless the request has the server's key, or the server has none."""
    key: str | None = request.app.state.api_key
    if key is None or (given is not None and secrets.compare_digest(given.credentials.encode(), key.encode())):
        return
    raise ApiError(401, "the API key is missing or not accepted; Authorization: Bearer KEY is", code="invalid_api_key")


def health(request: Request) -> Response:
    """Whether requests are accepted: 200, or 503 once the server is closing or has failed."""
    service: Service = request.app.state.service
    is_well = not (service.is_closing or service.is_failed)
    return JSONResponse({"status": "ok" if is_well else "closing"}, 200 if is_well else 503)


def metrics(request: Request) -> Response:
    """What Prometheus reads."""
    service: Service = request.app.state.service
    return Response(service.exposition.text(), headers={"content-type": CONTENT_TYPE_LATEST})


def models(request: Request) -> Response:
    """The model that is served."""
    service: Service = request.app.state.service
    model = {"id": service.model, "object": "model", "created": service.created_s, "owned_by": "aptsched"}
    return JSONResponse({"object": "list", "data": [{**model, "max_model_len": service.max_context}]})


async def completions(body: CompletionBody, request: Request) -> Response:
    """Completes one prompt or several."""
    service: Service = request.app.state.service
    _check_model(service, body.model)
    stream, params = body.streams, body.params(DEFAULT_TOKENS, service.seed(), body.logprobs)
    given: list[Any] = body.prompts
    prompts = await service.tokens(given) if isinstance(given[0], str) else given
    return await answered(service, request, prompts, params, CompletionReply(), stream)


async def chat_completions(body: ChatBody, request: Request) -> Response:
    """Answers the messages of a chat, by the model's own template."""
    service: Service = request.app.state.service
    _check_model(service, body.model)
    stream, params = body.streams, body.params(service.max_context, service.seed(), body.num_logprobs)
    if service.tokenizer is None:
        raise ApiError(400, "messages: they are not accepted, as the model has no tokenizer", "messages")
    text = service.tokenizer.chat_prompt([message.plain() for message in body.messages])
    prompts = await service.tokens([text], special=False)
    return await answered(service, request, prompts, params, ChatReply(), stream)


def _check_model(service: Service, given: str | None) -> None:
    if given is not None and given != service.model:
        message = f"model: {given[:60]!r} is not served; {service.model!r} is"
        raise ApiError(404, message, "model", "model_not_found")
