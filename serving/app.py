"""The HTTP application: routes translate, and errors get their codes here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import PackageNotFoundError, version

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from serving import codec, images
from serving.admission import Admission
from serving.body import Bodies
from serving.catalog import Catalog, Served
from serving.errors import (
    BodyTooLarge,
    BodyTooSlow,
    MalformedRequest,
    ModelNotReady,
    Overloaded,
    RequestError,
    UnknownModel,
    UnsupportedEncoding,
)
from serving.instrument import Instrument, name_version
from serving.metrics import Metrics
from serving.page import status_page
from serving.presence import while_present
from serving.query import read_images_query
from serving.responses import error_response, json_response
from serving.settings import Settings
from serving.watcher import Watcher

logger = logging.getLogger(__name__)

STATUS_OF: dict[type[RequestError], int] = {
    MalformedRequest: 400,
    UnknownModel: 404,
    BodyTooSlow: 408,
    BodyTooLarge: 413,
    UnsupportedEncoding: 415,
    ModelNotReady: 503,
    Overloaded: 503,
}
_CLIENT_GONE = 499  # nginx's number; HTTP has none
_RETRY_AFTER_SECONDS = "1"
_LARGE_BODY_BYTES = 1 << 16  # below it, a thread costs more than it frees


def create_app(catalog: Catalog, metrics: Metrics, settings: Settings, watcher: Watcher | None = None) -> ASGIApp:
    """The application over a catalog; it runs the watcher, if there is one, for as long as it lives."""
    routes = _Routes(catalog, metrics, settings)
    model = "/v2/models/{model}"

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
        routes=[
            Route("/", routes.page),
            Route("/metrics", routes.exposition),
            Route("/v2", routes.server),
            Route("/v2/health/live", routes.live),
            Route("/v2/health/ready", routes.ready),
            Route("/v2/repository/index", routes.index, methods=["POST"]),
            *(
                route
                for prefix in (model, model + "/versions/{version}")
                for route in (
                    Route(prefix, routes.metadata),
                    Route(prefix + "/ready", routes.model_ready),
                    Route(prefix + "/infer", routes.infer, methods=["POST"]),
                )
            ),
            Route("/v1/models/{model}/images", routes.images),
        ],
        exception_handlers={
            RequestError: _on_request_error,
            HTTPException: _on_http_error,
            ClientDisconnect: _on_disconnect,
            Exception: _on_failure,
        },
        lifespan=lifespan,
    )
    # A redirect would answer a wrong address with neither the resource nor an error.
    app.router.redirect_slashes = False
    return Instrument(app, metrics)


class _Routes:
    """One method a route."""

    def __init__(self, catalog: Catalog, metrics: Metrics, settings: Settings) -> None:
        self._catalog = catalog
        self._metrics = metrics
        self._settings = settings
        self._bodies = Bodies(
            limit=settings.max_body_bytes, total=settings.max_bodies_bytes, seconds=settings.receive_seconds
        )
        self._admission = Admission(settings.max_requests)

    # -- the server -----------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        return HTMLResponse(status_page(self._catalog), headers={"cache-control": "no-store"})

    async def exposition(self, request: Request) -> Response:
        return Response(self._metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def server(self, request: Request) -> Response:
        return json_response({"name": "ganvas", "version": _software_version(), "extensions": []})

    async def live(self, request: Request) -> Response:
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        reason = self._catalog.not_ready_because()
        if reason:
            return json_response({"ready": False, "error": reason}, 503)
        return json_response({"ready": True})

    async def index(self, request: Request) -> Response:
        async with self._bodies.read(request) as body:
            query = codec.decode_index_query(body)
        entries = []
        for slot in self._catalog.slots.values():
            if slot.current:
                entries.append((slot.name, slot.current.version, "READY", slot.problem))
            elif not query.ready_only:
                entries.append((slot.name, "", "UNAVAILABLE", slot.problem))
        return json_response([dict(zip(("name", "version", "state", "reason"), e, strict=True)) for e in entries])

    # -- a model --------------------------------------------------------------------------------------

    async def metadata(self, request: Request) -> Response:
        served = self._served(request)
        return json_response(codec.describe_model(served.name, served.version, served.predictor.signature))

    async def model_ready(self, request: Request) -> Response:
        name = request.path_params["model"]
        try:
            self._served(request)
        except ModelNotReady as error:
            return json_response({"name": name, "ready": False, "error": str(error)}, 503)
        return json_response({"name": name, "ready": True})

    async def infer(self, request: Request) -> Response:
        self._served(request)  # that there is no such model is said before its body has come
        async with self._bodies.read(request) as body:
            with self._admission.place():
                content = await while_present(request.receive, self._infer(request, body))
        return Response(content, media_type="application/json")

    async def _infer(self, request: Request, body: bytearray) -> bytes:
        large = len(body) > _LARGE_BODY_BYTES
        query = await asyncio.to_thread(codec.decode_request, body) if large else codec.decode_request(body)
        # Looked up again: the alias may have moved while the body came. Only the computing holds the version.
        with self._served(request).lease() as served:
            outputs = await served.predictor.infer(query.inputs, query.outputs)
        encode = (served.name, served.version, query.id, outputs)
        large = sum(value.nbytes for value in outputs.values()) > _LARGE_BODY_BYTES
        return await asyncio.to_thread(codec.encode_response, *encode) if large else codec.encode_response(*encode)

    async def images(self, request: Request) -> Response:
        self._served(request)
        with self._admission.place():
            content, media_type = await while_present(request.receive, self._images(request))
        return Response(content, media_type=media_type, headers={"cache-control": "no-store"})

    async def _images(self, request: Request) -> tuple[bytes, str]:
        with self._served(request).lease() as served:
            signature = served.predictor.signature
            query = read_images_query(request.query_params, signature, self._settings.max_images)
            images.check_format(signature.sample.kind, signature.sample.shape[0], query.format)
            samples = await served.predictor.sample(query.seed, query.count, query.label)
        return await asyncio.to_thread(images.encode_samples, samples, query.format, query.layout)

    def _served(self, request: Request) -> Served:
        served = self._catalog.get(request.path_params["model"], request.path_params.get("version"))
        name_version(request.scope, served)
        return served


def _software_version() -> str:
    try:
        return version("ganvas")
    except PackageNotFoundError:
        return "0"


async def _on_request_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    headers = {}
    if isinstance(error, Overloaded | ModelNotReady):
        headers["retry-after"] = _RETRY_AFTER_SECONDS
    if isinstance(error, BodyTooSlow):
        headers["connection"] = "close"  # the rest of the body may still come
    return error_response(str(error), STATUS_OF[type(error)], headers)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    message = {404: f"there is nothing at {path}", 405: f"{path} does not take {request.method}"}
    return error_response(message.get(error.status_code, error.detail), error.status_code, error.headers)


async def _on_disconnect(request: Request, error: Exception) -> Response:
    # Nobody reads it; it keeps the log free of a traceback, and the metrics' 400 to requests that were wrong.
    return error_response("the client went away", _CLIENT_GONE)


async def _on_failure(request: Request, error: Exception) -> Response:
    return error_response("the server failed; its log says why", 500)
