"""Bodies of requests: whole, within a limit, a deadline, and the memory that all of them share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from serving.errors import BodyTooLarge, BodyTooSlow, MalformedRequest, Overloaded, UnsupportedEncoding


class Bodies:
    """Reads bodies, and counts the bytes of those that are still held.

    Args:
        limit: bytes of one body.
        total: bytes of all bodies that are held at a time.
        seconds: time that one body gets to arrive.
    """

    def __init__(self, *, limit: int, total: int, seconds: float) -> None:
        self._limit = limit
        self._total = total
        self._seconds = seconds
        self._held = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytearray]:
        """The request's body, held until the end of the block.

        Raises:
            BodyTooLarge, BodyTooSlow, UnsupportedEncoding, MalformedRequest: if it will not be read.
            Overloaded: if the bodies of other requests fill the memory.
        """
        self._check_headers(request)
        # One growing buffer: a list of chunks would weigh many times the body if each chunk is a few bytes.
        body = bytearray()
        try:
            try:
                async with asyncio.timeout(self._seconds):
                    async for part in request.stream():
                        self._held += len(part)
                        body += part
                        self._check_sizes(len(body))
            except TimeoutError as error:
                raise BodyTooSlow(f"the body did not arrive in {self._seconds:g} s.", "Send it faster.") from error
            yield body
        finally:
            self._held -= len(body)

    def _check_headers(self, request: Request) -> None:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedEncoding("this server takes no compressed bodies.", "Send it as it is.")
        if "inference-header-content-length" in request.headers:
            raise MalformedRequest("this server takes no binary tensors.", "Send `data` in the JSON.")
        self._check_sizes(int(request.headers.get("content-length", "0")))

    def _check_sizes(self, size: int) -> None:
        if size > self._limit:
            raise BodyTooLarge(f"the body may have at most {self._limit} bytes.", "Send fewer rows at a time.")
        if self._held > self._total:
            raise Overloaded("the bodies of other requests fill the memory.", "Try again in a moment.")
