"""Errors as OpenAI's interface has them: a status, and a body that says what is wrong with which field."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request

from aptsched.support.errors import InputError
from aptsched.support.shown import one_line, shown
from engine.server.bodies import FIELDS

KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}  # others by hundreds


class ApiError(Exception):
    """An error that a client is told.

    Parameters
    ----------
    status : int
        HTTP's.
    message : str
    param : str, optional
        The field that it is about.
    code : str, optional
        What programs tell errors apart by.
    retry_after_s : float, optional
        When to try again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.retry_after_s = status, param, code, retry_after_s

    def body(self) -> dict[str, Any]:
        """The body of the response."""
        kind = KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        error = {"message": one_line(str(self)), "type": kind, "param": self.param, "code": self.code}
        return {"error": error}

    def response(self, headers: Mapping[str, str] | None = None) -> JSONResponse:
        """The response."""
        every = dict(headers or {})
        if self.retry_after_s is not None:
            every["Retry-After"] = str(math.ceil(self.retry_after_s))
        return JSONResponse(self.body(), self.status, every)


class ErrorOf(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of each error."""

    error: ErrorOf


def of_input(error: InputError) -> ApiError:
    """An error of what a client gave; the field is what its message begins with."""
    field = str(error).partition(":")[0]
    return ApiError(400, str(error), field if field.replace("-", "_").isidentifier() else None)


def of_validation(error: RequestValidationError) -> ApiError:
    """The first thing that is wrong with a body, as a message of ours."""
    faults = error.errors()
    first = faults[0]
    if first["type"] == "json_invalid":
        return ApiError(400, f"body: it is not JSON ({first['ctx']['error']} at character {first['loc'][-1]})")
    if isinstance(error.body, bytes):
        return ApiError(400, "content-type: application/json is accepted, with a JSON object as the body")
    place = list(itertools.takewhile(_is_field, first["loc"][1:]))
    name, field = ".".join(map(str, place)) or "body", str(place[0]) if place else None
    if first["type"] == "missing":
        return ApiError(400, f"{name}: it is missing", field)
    if first["type"] == "extra_forbidden":
        unknown = ".".join(map(str, first["loc"][1:]))
        return ApiError(400, f"{unknown}: such a field is not accepted", str(first["loc"][1]), "unknown_field")
    same = [each for each in faults if each["loc"][: len(place) + 1] == first["loc"][: len(place) + 1]]
    accepted = "; ".join(dict.fromkeys(str(each["msg"]) for each in same))
    return ApiError(400, f"{name}: {shown(_at(error.body, place))} is not accepted ({accepted})", field)


def _is_field(part: object) -> bool:
    """Whether a part of a place is a field's name or a position, and not the name of a part of a union."""
    return isinstance(part, int) or part in FIELDS


def _at(body: Any, place: Sequence[Any]) -> Any:
    """The value at a place of a body."""
    for part in place:
        body = body[part]
    return body


async def answer(request: Request, error: Exception) -> JSONResponse:
    """The response to any error of a handler."""
    if isinstance(error, ApiError):
        return error.response()
    if isinstance(error, RequestValidationError):
        return of_validation(error).response()
    if isinstance(error, InputError):
        return of_input(error).response()
    if isinstance(error, HTTPException):
        return ApiError(error.status_code, str(error.detail)).response(error.headers)
    return ApiError(500, f"the server failed ({type(error).__name__})").response()
