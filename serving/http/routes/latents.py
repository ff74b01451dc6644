"""Ways through the latent space, as samples: from one latent to another, and around one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.bundle.signature import Signature
from serving.http.context import Context
from serving.http.latent_body import Latents, read_latent, read_object, read_place
from serving.http.presence import while_present
from serving.http.query import (
    InterpolationQuery,
    NeighboursQuery,
    read_interpolation_query,
    read_neighbours_query,
)
from serving.pictures import files
from serving.predict.latents import standard_normal_latents
from serving.predict.space import neighbours_of, path_between

Body = bytes | bytearray | None
"""None of a GET."""


Place = Callable[[QueryParams, Signature, int, Body], tuple[InterpolationQuery | NeighboursQuery, Latents, int]]
"""Reads a request with at most so many samples: its query, its latents float32 [N, Z], and the index that their
class follows from where none is asked for."""


def routes(context: Context) -> list[Route]:
    """Their addresses: a GET names latents by seed and index, a POST holds them."""
    latents = _Latents(context)
    return [
        Route("/v1/models/{model}/interpolate", latents.interpolate, methods=["GET", "POST"]),
        Route("/v1/models/{model}/neighbours", latents.neighbours, methods=["GET", "POST"]),
    ]


class _Latents:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def interpolate(self, request: Request) -> Response:
        return await self._answer(request, _path)

    async def neighbours(self, request: Request) -> Response:
        return await self._answer(request, _around)

    async def _answer(self, request: Request, place: Place) -> Response:
        self._context.served(request.scope)  # that there is no such model is said before its body has come
        if request.method == "POST":
            async with self._context.bodies.read(request) as body:
                content, media_type = await self._in_hand(request, place, body)
        else:
            content, media_type = await self._in_hand(request, place, None)
        return Response(content, media_type=media_type, headers={"cache-control": "no-store"})

    async def _in_hand(self, request: Request, place: Place, body: Body) -> tuple[bytes, str]:
        with self._context.admission:
            return await while_present(request.receive, self._samples(request, place, body))

    async def _samples(self, request: Request, place: Place, body: Body) -> tuple[bytes, str]:
        with self._context.served(request.scope).lease() as served:
            signature, most = served.predictor.signature, self._context.settings.max_images
            query, latents, index = await asyncio.to_thread(place, request.query_params, signature, most, body)
            files.check_format(signature.sample.kind, signature.sample.shape[0], query.format)
            label = _label(query.label, index, signature)
            return await served.predictor.decode(
                latents, label, lambda samples: files.encode_samples(samples, query.format, query.layout)
            )


def _path(
    text: QueryParams, signature: Signature, max_images: int, body: Body
) -> tuple[InterpolationQuery, Latents, int]:
    """The way between two latents; its class follows from the first one's index."""
    query = read_interpolation_query(text, signature, max_images, seeds=body is None)
    size = signature.latent.size
    if body is None:
        start, end = (_latent(place, size) for place in (query.start, query.end))
    else:
        document = read_object(body, ("from", "to"))
        start, end = (read_latent(document, name, size) for name in ("from", "to"))
    return query, path_between(start, end, query.steps, query.path), query.start[1]


def _around(
    text: QueryParams, signature: Signature, max_images: int, body: Body
) -> tuple[NeighboursQuery, Latents, int]:
    """The neighbours of a latent; their class follows from its index."""
    query = read_neighbours_query(text, signature, max_images, seeds=body is None)
    size = signature.latent.size
    seed, index = query.seed, query.index
    document = {} if body is None else read_object(body, ("latent", "seed", "index"))
    if body is not None:
        seed, index = read_place(document)
    latent = read_latent(document, "latent", size) if "latent" in document else _latent((seed, index), size)
    return query, neighbours_of(latent, query.count, query.radius, seed=seed, index=index), index


def _latent(place: tuple[int, int], size: int) -> Latents:
    seed, index = place
    (latent,) = standard_normal_latents(seed, 1, size, first_index=index)
    return np.asarray(latent)


def _label(given: int | None, index: int, signature: Signature) -> int:
    """The class that is asked for, else the one that the images route gives to this index."""
    if given is not None:
        return given
    return index % len(signature.class_names) if signature.conditional else 0
