"""Samples as pictures."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.http.context import Context
from serving.http.presence import while_present
from serving.http.query import read_images_query
from serving.pictures import files


def routes(context: Context) -> list[Route]:
    """Its address."""
    return [Route("/v1/models/{model}/images", _Images(context).images)]


class _Images:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def images(self, request: Request) -> Response:
        self._context.served(request)
        with self._context.admission.place():
            content, media_type = await while_present(request.receive, self._images(request))
        return Response(content, media_type=media_type, headers={"cache-control": "no-store"})

    async def _images(self, request: Request) -> tuple[bytes, str]:
        with self._context.served(request).lease() as served:
            signature = served.predictor.signature
            query = read_images_query(request.query_params, signature, self._context.settings.max_images)
            files.check_format(signature.sample.kind, signature.sample.shape[0], query.format)
            samples = await served.predictor.sample(query.seed, query.count, query.label)
        return await asyncio.to_thread(files.encode_samples, samples, query.format, query.layout)
