"""The HTTP application: routes translate, and errors get their codes here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from serving.catalog import Catalog
from serving.errors import (
    BodyTooLarge,
    BodyTooSlow,
    DeadlineExceeded,
    MalformedRequest,
    ModelNotReady,
    Overloaded,
    RequestError,
    Unauthorized,
    UnknownModel,
    UnsupportedEncoding,
)
from serving.http.context import Context
from serving.http.instrument import CLIENT_GONE, Instrument
from serving.http.responses import error_response
from serving.http.routes import images, model, server
from serving.metrics import Metrics
from serving.operations.operations import ModelObserver, Operations
from serving.registry.watcher import Watcher
from serving.settings import Settings

logger = logging.getLogger(__name__)

STATUS_OF: dict[type[RequestError], int] = {
    MalformedRequest: 400,
    Unauthorized: 401,
    UnknownModel: 404,
    BodyTooSlow: 408,
    BodyTooLarge: 413,
    UnsupportedEncoding: 415,
    ModelNotReady: 503,
    Overloaded: 503,
    DeadlineExceeded: 504,
}
_RETRY_AFTER_SECONDS = "1"


def create_app(
    catalog: Catalog,
    metrics: Metrics,
    settings: Settings,
    watcher: Watcher | None = None,
    operations: Operations | None = None,
) -> Instrument:
    """The application over a catalog; it runs the watcher, if there is one, for as long as it lives."""
    context = Context(catalog, metrics, settings, watcher)
    metrics.watch(catalog)
    for slot in catalog.slots.values():
        slot.observe(ModelObserver(metrics, slot.name))

    def answer_error(error: RequestError) -> Response:
        metrics.refused(error.reason)
        return _error_answer(error)

    async def on_request_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        return answer_error(error)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(watcher.run()) if watcher else None
        try:
            yield
        finally:
            if task:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            for slot in catalog.slots.values():
                if slot.current:
                    await slot.current.retire()

    app = Starlette(
        routes=[*server.routes(context), *model.routes(context), *images.routes(context)],
        exception_handlers={
            RequestError: on_request_error,
            HTTPException: _on_http_error,
            ClientDisconnect: _on_disconnect,
            Exception: _on_failure,
        },
        lifespan=lifespan,
    )
    # A redirect would answer a wrong address with neither the resource nor an error.
    app.router.redirect_slashes = False
    return Instrument(app, context, operations or Operations(settings), answer_error)


def _error_answer(error: RequestError) -> Response:
    headers = {}
    if isinstance(error, Overloaded | ModelNotReady):
        headers["retry-after"] = _RETRY_AFTER_SECONDS
    if isinstance(error, BodyTooSlow):
        headers["connection"] = "close"  # the rest of the body may still come
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = "Bearer"
    return error_response(str(error), STATUS_OF[type(error)], headers)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    message = {404: f"there is nothing at {path}", 405: f"{path} does not take {request.method}"}
    return error_response(message.get(error.status_code, error.detail), error.status_code, error.headers)


async def _on_disconnect(request: Request, error: Exception) -> Response:
    # Nobody reads it; it keeps the log free of a traceback, and the metrics' 400 to requests that were wrong.
    return error_response("the client went away", CLIENT_GONE)


async def _on_failure(request: Request, error: Exception) -> Response:
    return error_response("the server failed; its log says why", 500)
