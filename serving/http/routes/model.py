"""A model by the Open Inference Protocol v2: metadata, readiness, inference."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.errors import ModelNotReady
from serving.http.context import Context
from serving.http.presence import while_present
from serving.http.responses import json_response
from serving.protocol import codec

_LARGE_BODY_BYTES = 1 << 16  # below it, a thread costs more than it frees


def routes(context: Context) -> list[Route]:
    """Its addresses, with and without a version."""
    model = _Model(context)
    return [
        route
        for prefix in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
        for route in (
            Route(prefix, model.metadata),
            Route(prefix + "/ready", model.ready),
            Route(prefix + "/infer", model.infer, methods=["POST"]),
        )
    ]


class _Model:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def metadata(self, request: Request) -> Response:
        served = self._context.described(request)
        description = codec.describe_model(served.name, served.version, served.predictor.signature)
        if "version" not in request.path_params:
            description["versions"] = [each.version for each in self._context.catalog.slots[served.name].served]
        return json_response(description)

    async def ready(self, request: Request) -> Response:
        name = request.path_params["model"]
        try:
            self._context.described(request)
        except ModelNotReady as error:
            return json_response({"name": name, "ready": False, "error": str(error)}, 503)
        return json_response({"name": name, "ready": True})

    async def infer(self, request: Request) -> Response:
        self._context.served(request)  # that there is no such model is said before its body has come
        async with self._context.bodies.read(request) as body:
            with self._context.admission.place():
                content = await while_present(request.receive, self._infer(request, body))
        return Response(content, media_type="application/json")

    async def _infer(self, request: Request, body: bytearray) -> bytes:
        large = len(body) > _LARGE_BODY_BYTES
        query = await asyncio.to_thread(codec.decode_request, body) if large else codec.decode_request(body)
        # Looked up again: the alias may have moved while the body came. Only the computing holds the version.
        with self._context.served(request).lease() as served:
            outputs = await served.predictor.infer(query.inputs, query.outputs)
        encode = (served.name, served.version, query.id, outputs)
        large = sum(value.nbytes for value in outputs.values()) > _LARGE_BODY_BYTES
        return await asyncio.to_thread(codec.encode_response, *encode) if large else codec.encode_response(*encode)
