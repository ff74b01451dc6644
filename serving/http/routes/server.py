"""The server as a whole: its metrics, its health, its repository."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.http.context import Context
from serving.http.responses import json_response
from serving.protocol.metadata import EXTENSIONS, decode_index_query
from serving.software import software_version


def routes(context: Context) -> list[Route]:
    """Its addresses."""
    server = _Server(context)
    return [
        Route("/metrics", server.exposition),
        Route("/v2", server.metadata),
        Route("/v2/health/live", server.live),
        Route("/v2/health/ready", server.ready),
        Route("/v2/repository/index", server.index, methods=["POST"]),
    ]


class _Server:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def exposition(self, request: Request) -> Response:
        return Response(self._context.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def metadata(self, request: Request) -> Response:
        return json_response({"name": "ganvas", "version": software_version(), "extensions": list(EXTENSIONS)})

    async def live(self, request: Request) -> Response:
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        reason = self._context.catalog.not_ready_because()
        if reason:
            return json_response({"ready": False, "error": reason}, 503)
        return json_response({"ready": True})

    async def index(self, request: Request) -> Response:
        async with self._context.bodies.read(request) as body:
            query = decode_index_query(body)
        keys = ("name", "version", "state", "reason")
        entries = self._context.catalog.index(ready_only=query.ready_only)
        return json_response([dict(zip(keys, entry, strict=True)) for entry in entries])
