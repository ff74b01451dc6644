"""A model by the Open Inference Protocol v2: metadata, readiness, inference."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from serving.errors import ModelNotReady
from serving.http.asgi import respond
from serving.http.body import BODY_KEY, nothing_at_once
from serving.http.context import Context
from serving.http.head import Head, read_head
from serving.http.inference import SMALL_BODY_BYTES, Answer, decode, encoder, headers_of
from serving.http.presence import presence_of
from serving.http.responses import json_response
from serving.protocol.metadata import describe_model

PREFIXES = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")


def routes(context: Context) -> list[Route]:
    """Its addresses, with and without a version."""
    model = _Model(context)
    infer = Infer(context)
    return [
        route
        for prefix in PREFIXES
        for route in (
            Route(prefix, model.metadata),
            Route(prefix + "/ready", model.ready),
            Route(prefix + "/infer", infer, methods=["POST"]),
        )
    ]


class _Model:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def metadata(self, request: Request) -> Response:
        served = self._context.described(request.scope)
        versions = self._context.catalog.versions(served, request.path_params.get("version"))
        return json_response(describe_model(served.name, versions, served.predictor.signature))

    async def ready(self, request: Request) -> Response:
        name = request.path_params["model"]
        try:
            self._context.described(request.scope)
        except ModelNotReady as error:
            return json_response({"name": name, "ready": False, "error": str(error)}, 503)
        return json_response({"name": name, "ready": True})


class Infer:
    """Inference: ASGI."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        context = self._context
        context.served(scope)  # that there is no such model is said before its body has come
        head = read_head(scope)
        body = await context.bodies.take(head, receive, scope.get(BODY_KEY, nothing_at_once))
        try:
            with context.admission:
                answer = await self._answer(scope, receive, head, body)
        finally:
            context.bodies.release(body)
        await respond(send, answer[0].body, headers_of(answer))

    async def _answer(self, scope: Scope, receive: Receive, head: Head, body: bytearray) -> Answer:
        served = self._context.served(scope)
        if len(body) > SMALL_BODY_BYTES and head.json_length != 0:
            query = await asyncio.to_thread(decode, body, head, served)
        else:
            query = decode(body, head, served)
        # Looked up again: the alias may have moved while the body came. Only the computing holds the version.
        with self._context.served(scope).lease() as served:
            computing = served.predictor.start(query.inputs, tuple(query.outputs), encoder(served, head, query))
            found: Answer = await presence_of(scope, receive).unless_gone(computing)
            return found
