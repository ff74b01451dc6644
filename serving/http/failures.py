"""Errors as answers: the one place where they get HTTP's codes."""

from __future__ import annotations

import logging

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from serving.errors import (
    BodyTooLarge,
    BodyTooSlow,
    DeadlineExceeded,
    MalformedRequest,
    ModelNotReady,
    Overloaded,
    PictureTooLarge,
    RequestError,
    Unauthorized,
    UnknownModel,
    UnsupportedEncoding,
    UnsupportedPicture,
)
from serving.http.asgi import Endpoint
from serving.http.responses import error_response

logger = logging.getLogger(__name__)

STATUS_OF: dict[type[RequestError], int] = {
    MalformedRequest: 400,
    Unauthorized: 401,
    UnknownModel: 404,
    BodyTooSlow: 408,
    BodyTooLarge: 413,
    PictureTooLarge: 413,
    UnsupportedEncoding: 415,
    UnsupportedPicture: 415,
    ModelNotReady: 503,
    Overloaded: 503,
    DeadlineExceeded: 504,
}
REFUSED_KEY = "ganvas.refused"
"""In the scope of a request that was refused: why, in one word."""
CLIENT_GONE = 499  # nginx's number; HTTP has none
_RETRY_AFTER_SECONDS = "1"


def answer_to(error: RequestError) -> Response:
    """The answer to a request that cannot be answered."""
    headers = {}
    if isinstance(error, Overloaded | ModelNotReady):
        headers["retry-after"] = _RETRY_AFTER_SECONDS
    if isinstance(error, BodyTooSlow):
        headers["connection"] = "close"  # the rest of the body may still come
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = "Bearer"
    return error_response(str(error), STATUS_OF[type(error)], headers)


async def refuse(error: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that cannot be answered."""
    scope[REFUSED_KEY] = error.reason
    await answer_to(error)(scope, receive, send)


async def guarded(endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
    """An endpoint outside of Starlette, with its errors answered as Starlette's handlers below do."""
    try:
        await endpoint(scope, receive, send)
    except RequestError as error:
        await refuse(error, scope, receive, send)
    except ClientDisconnect:
        await _gone()(scope, receive, send)
    except Exception:  # a defect of this server's own: the log has it, and the client no word of it
        logger.exception("a request failed")
        await server_failed()(scope, receive, send)


async def on_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    request.scope[REFUSED_KEY] = error.reason
    return answer_to(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    message = {404: f"there is nothing at {path}", 405: f"{path} does not take {request.method}"}
    return error_response(message.get(error.status_code, error.detail), error.status_code, error.headers)


async def on_disconnect(request: Request, error: Exception) -> Response:
    return _gone()


async def on_failure(request: Request, error: Exception) -> Response:
    return server_failed()


def late(seconds: float) -> DeadlineExceeded:
    """A request that was not answered in its time."""
    return DeadlineExceeded(f"the request was not answered in {seconds:g} s.")


def shutting_down() -> Response:
    """The answer to a request that takes longer than the server has left."""
    return error_response(
        "the server is shutting down", 503, {"retry-after": _RETRY_AFTER_SECONDS, "connection": "close"}
    )


def _gone() -> Response:
    # Nobody reads it; it keeps the log free of a traceback, and the metrics' 400 to requests that were wrong.
    return error_response("the client went away", CLIENT_GONE)


def server_failed() -> Response:
    """The answer to a request that the server has no other answer to."""
    return error_response("the server failed; its log says why", 500)
