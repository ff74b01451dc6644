"""A model by the Open Inference Protocol v2: metadata, readiness, inference."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from serving.errors import ModelNotReady
from serving.http.asgi import JSON, OCTETS, respond
from serving.http.body import BODY_KEY, nothing_at_once
from serving.http.compression import accepted, compress
from serving.http.context import Context
from serving.http.head import Head, read_head
from serving.http.presence import presence_of
from serving.http.responses import json_response
from serving.predict.batcher import Results
from serving.protocol.codec import Encoded, InferenceRequest, decode_raw, decode_request, encode_response
from serving.protocol.metadata import describe_model

PREFIXES = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
_LARGE_BODY_BYTES = 1 << 16  # below it, a thread costs more than it frees
_COMPRESSED_BYTES = 1 << 10  # below it, compression costs more than it frees


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
                encoded, encoding = await self._answer(scope, receive, head, body)
        finally:
            context.bodies.release(body)
        headers = [JSON if encoded.header_length is None else OCTETS]
        if encoded.header_length is not None:
            headers.append((b"inference-header-content-length", str(encoded.header_length).encode()))
        if encoding is not None:
            headers += [(b"content-encoding", encoding.encode()), (b"vary", b"accept-encoding")]
        await respond(send, encoded.body, headers)

    async def _answer(self, scope: Scope, receive: Receive, head: Head, body: bytearray) -> tuple[Encoded, str | None]:
        if head.json_length == 0:
            sampler = self._context.served(scope).predictor.signature
            query = decode_raw(body, sampler.graphs[sampler.sampler].inputs)
        elif len(body) > _LARGE_BODY_BYTES:
            query = await asyncio.to_thread(decode_request, body, head.json_length)
        else:
            query = decode_request(body, head.json_length)
        # Looked up again: the alias may have moved while the body came. Only the computing holds the version.
        with self._context.served(scope).lease() as served:

            def encode(results: Results) -> tuple[Encoded, str | None]:
                return _compressed(encode_response(served.name, served.version, query, results), head, query)

            answer = served.predictor.start(query.inputs, tuple(query.outputs), encode)
            found: tuple[Encoded, str | None] = await presence_of(scope, receive).unless_gone(answer)
            return found


def _compressed(encoded: Encoded, head: Head, query: InferenceRequest) -> tuple[Encoded, str | None]:
    encoding = accepted(head.accept_encoding) if head.accept_encoding else None
    if encoding is None or len(encoded.body) < _COMPRESSED_BYTES:
        return encoded, None
    # Binary floats hardly shrink: for those it is done where one encoding is asked for, not where a client lists
    # all that it reads, as every HTTP library does.
    if encoded.header_length is not None and "," in head.accept_encoding:
        return encoded, None
    return Encoded(compress(encoded.body, encoding), encoded.header_length), encoding
