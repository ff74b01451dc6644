"""Around the whole application: counts answers, names the version that gave them, answers who is cut off."""

from __future__ import annotations

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.catalog import Served
from serving.http.responses import error_response
from serving.metrics import Metrics

VERSION_HEADER = "ganvas-model-version"
VERDICT_HEADER = "ganvas-model-verdict"
_KEY = "ganvas.headers"
_SERVED = "ganvas.served"


def name_version(scope: Scope, served: Served) -> None:
    """Let the answer to this request, be it an error, name the version it comes from."""
    scope[_SERVED] = served
    scope[_KEY] = [
        (VERSION_HEADER.encode(), served.version.encode("latin-1", "replace")),
        (VERDICT_HEADER.encode(), served.verdict.encode()),
    ]


class Instrument:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status, begun = 500, False

        async def send_named(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message = {**message, "headers": [*message["headers"], *scope.get(_KEY, ())]}
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except asyncio.CancelledError:
            # The server stops, and this request took longer than others get to finish.
            if begun:
                raise
            headers = {"retry-after": "1", "connection": "close"}
            await error_response("the server is shutting down", 503, headers)(scope, receive, send_named)
        finally:
            # The route's pattern, not the path: one time series a route, however many addresses are tried.
            route = getattr(scope.get("route"), "path", "unmatched")
            seconds = time.perf_counter() - started
            self._metrics.observe(route, status, seconds)
            if served := scope.get(_SERVED):
                self._metrics.versions.observe(served, status, seconds)
