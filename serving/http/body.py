"""Bodies of requests: whole, within a limit, a deadline, and the memory that all of them share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

from serving.errors import BodyTooLarge, BodyTooSlow, Overloaded, RequestError
from serving.http.compression import decompress
from serving.http.head import Head, read_head

BODY_KEY = "ganvas.body"
"""In a request's scope: what gives its whole body, if it is there."""


def nothing_at_once() -> None:
    """Where the whole body is not to be had but by receiving it."""


class Bodies:
    """Reads bodies, and counts the bytes of those that are still held.

    Args:
        limit: bytes of one body, decompressed.
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
        """The request's body, held until the end of the block. Raises as :meth:`take`."""
        body = await self.take(read_head(request.scope), request.receive)
        try:
            yield body
        finally:
            self.release(body)

    async def take(
        self, head: Head, receive: Receive, at_once: Callable[[], bytearray | None] = nothing_at_once
    ) -> bytearray:
        """A body as it is meant; whoever takes it must release it.

        Args:
            at_once: gives the whole body if it is there already, which spares the deadline and the way through ASGI.

        Raises:
            BodyTooLarge, BodyTooSlow, MalformedRequest: if it will not be read.
            ClientDisconnect: if the client went away.
            Overloaded: if the bodies of other requests fill the memory.
        """
        self._check_sizes(head.length)
        if head.encoding is None and (whole := at_once()) is not None:
            self._held += len(whole)
            try:
                self._check_sizes(len(whole))
            except RequestError:
                self.release(whole)
                raise
            return whole
        # One growing buffer: a list of chunks would weigh many times the body if each chunk is a few bytes.
        body = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    part = message.get("body", b"")
                    self._held += len(part)
                    body += part
                    self._check_sizes(len(body))
                    more = message.get("more_body", False)
            if head.encoding is None:
                return body
            return await self._decompressed(body, head)
        except TimeoutError as error:
            self.release(body)
            raise BodyTooSlow(f"the body did not arrive in {self._seconds:g} s.", "Send it faster.") from error
        except BaseException:  # a cancelled request's body, too, is held no longer
            self.release(body)
            raise

    def release(self, body: bytearray) -> None:
        """Let go of a body."""
        self._held -= len(body)

    @property
    def full(self) -> bool:
        """Whether not a byte more is taken."""
        return self._held >= self._total

    def hold(self, size: int) -> None:
        """Count a message that another transport has received; whoever does must :meth:`let_go` of as many bytes.

        Raises:
            Overloaded: if the bodies of other requests fill the memory; it is not counted then.
        """
        if self._held + size > self._total:
            raise memory_is_filled()
        self._held += size

    def let_go(self, size: int) -> None:
        """The end of what :meth:`hold` began."""
        self._held -= size

    async def _decompressed(self, body: bytearray, head: Head) -> bytearray:
        assert head.encoding is not None
        # In a thread whatever its size: a small one may hold much.
        found = await asyncio.to_thread(decompress, body, head.encoding, self._limit)
        if self._held - len(body) + len(found) > self._total:
            raise memory_is_filled()
        self._held += len(found) - len(body)
        return found

    def _check_sizes(self, size: int) -> None:
        if size > self._limit:
            raise BodyTooLarge(f"the body may have at most {self._limit} bytes.", "Send fewer rows at a time.")
        if self._held > self._total:
            raise memory_is_filled()


def memory_is_filled() -> Overloaded:
    """What is said of a body for which there is no room."""
    return Overloaded("the bodies of other requests fill the memory.", "Try again in a moment.")
