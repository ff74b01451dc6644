"""The HTTP application: routes translate, and errors get their codes here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from serving.catalog import Catalog
from serving.errors import RequestError
from serving.http.context import Context
from serving.http.cors import Preflight
from serving.http.failures import on_disconnect, on_failure, on_http_error, on_request_error
from serving.http.instrument import Instrument
from serving.http.routes import documents, images, latents, model, server, uploads
from serving.http.shortcut import Shortcut
from serving.metrics import Metrics
from serving.operations.operations import ModelObserver, Operations
from serving.registry.watcher import Watcher
from serving.settings import Settings

logger = logging.getLogger(__name__)


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
            for served in catalog.in_memory():
                await served.retire()

    app = Starlette(
        routes=[
            *server.routes(context),
            *documents.routes(context),
            *model.routes(context),
            *images.routes(context),
            *latents.routes(context),
            *uploads.routes(context),
        ],
        exception_handlers={
            RequestError: on_request_error,
            HTTPException: on_http_error,
            ClientDisconnect: on_disconnect,
            Exception: on_failure,
        },
        lifespan=lifespan,
    )
    # A redirect would answer a wrong address with neither the resource nor an error.
    app.router.redirect_slashes = False
    answering: ASGIApp = Shortcut(app, context)
    if settings.cors_origins:
        answering = Preflight(answering, settings.cors_origins)
    return Instrument(answering, context, operations or Operations(settings))
