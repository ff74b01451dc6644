"""Pictures that a client sends: their latents, and what the model makes of these."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.cores import available_cores
from serving.errors import MalformedRequest
from serving.http.context import Context
from serving.http.parameters import read_parameters
from serving.http.presence import while_present
from serving.http.query import read_reconstruction_query
from serving.http.upload import uploaded_file
from serving.pictures import files
from serving.pictures.reading import read_picture
from serving.predict.predictor import Predictor

Answer = Callable[[Request, bytearray], Coroutine[Any, Any, tuple[bytes, str]]]


def routes(context: Context) -> list[Route]:
    """Their addresses."""
    uploads = _Uploads(context)
    return [
        Route("/v1/models/{model}/encode", uploads.encode, methods=["POST"]),
        Route("/v1/models/{model}/reconstruct", uploads.reconstruct, methods=["POST"]),
    ]


class _Uploads:
    def __init__(self, context: Context) -> None:
        self._context = context
        # Threads of their own: their number times the pixels of a picture is the memory that decoding takes.
        self._threads = ThreadPoolExecutor(available_cores(), thread_name_prefix="ganvas-pictures")

    async def encode(self, request: Request) -> Response:
        return await self._answer(request, self._encode)

    async def reconstruct(self, request: Request) -> Response:
        return await self._answer(request, self._reconstruct)

    async def _answer(self, request: Request, answer: Answer) -> Response:
        self._context.served(request.scope).predictor.check_encodes()  # before the body has come
        async with self._context.bodies.read(request) as body:
            with self._context.admission:
                content, media_type = await while_present(request.receive, answer(request, body))
        return Response(content, media_type=media_type, headers={"cache-control": "no-store"})

    async def _encode(self, request: Request, body: bytearray) -> tuple[bytes, str]:
        with self._context.served(request.scope).lease() as served:
            read_parameters(request.query_params, ())
            _, statistics = await self._statistics(request, body, served.predictor)
        document = {"model_name": served.name, "model_version": served.version}
        latents = {name: value[0] for name, value in statistics.items()}
        return orjson.dumps(document | latents, option=orjson.OPT_SERIALIZE_NUMPY), "application/json"

    async def _reconstruct(self, request: Request, body: bytearray) -> tuple[bytes, str]:
        with self._context.served(request.scope).lease() as served:
            signature = served.predictor.signature
            query = read_reconstruction_query(request.query_params, signature)
            files.check_format(signature.sample.kind, signature.sample.shape[0], query.format)
            pixels, statistics = await self._statistics(request, body, served.predictor)
            samples: npt.NDArray[Any] = await served.predictor.decode(statistics["mean"], query.label or 0)
        if query.layout == "pair":
            samples = np.concatenate([pixels, samples])
        return await asyncio.to_thread(files.encode_samples, samples, query.format, "grid")

    async def _statistics(
        self, request: Request, body: bytearray, predictor: Predictor
    ) -> tuple[npt.NDArray[np.uint8], dict[str, npt.NDArray[Any]]]:
        """The picture as the encoder takes it, uint8 [1, H, W, C], and what it makes of it."""
        predictor.check_encodes()  # the alias may have moved while the body came
        content = uploaded_file(body, request.headers.get("content-type", ""))
        pixels = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            read_picture,
            content,
            predictor.signature.sample.shape,
            self._context.settings.max_picture_pixels,
            predictor.signature.sample.fit,
        )
        statistics = await predictor.encode(pixels[None])
        if not all(np.isfinite(value).all() for value in statistics.values()):
            raise MalformedRequest("the encoder gives values that are not finite for this picture.")
        return pixels[None], statistics
