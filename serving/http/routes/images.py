"""Samples as pictures."""

from __future__ import annotations

import asyncio

from starlette.datastructures import QueryParams
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from serving.http.asgi import respond
from serving.http.context import Context
from serving.http.presence import presence_of
from serving.http.query import read_images_query
from serving.pictures import files

PATH = "/v1/models/{model}/images"


def routes(context: Context) -> list[Route]:
    """Its address."""
    return [Route(PATH, Images(context), methods=["GET"])]


class Images:
    """Samples by seed: ASGI."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        self._context.served(scope)
        with self._context.admission:
            sampling = asyncio.ensure_future(self._content(scope))
            content, media_type = await presence_of(scope, receive).unless_gone(sampling)
        headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
        await respond(send, content, headers)

    async def _content(self, scope: Scope) -> tuple[bytes, str]:
        with self._context.served(scope).lease() as served:
            signature = served.predictor.signature
            query = read_images_query(QueryParams(scope["query_string"]), signature, self._context.settings.max_images)
            files.check_format(signature.sample.kind, signature.sample.shape[0], query.format)
            return await served.predictor.sample(
                query.seed,
                query.count,
                query.label,
                lambda samples: files.encode_samples(samples, query.format, query.layout),
                truncation=query.truncation,
            )
