"""Work is done for a client only as long as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope

T = TypeVar("T")
SCOPE_KEY = "ganvas.presence"


class Presence:
    """A connection, as those see it who work for its client; the connection itself says when it is lost."""

    def __init__(self) -> None:
        self.gone = False
        self._awaited: set[asyncio.Future[Any]] = set()

    def leave(self) -> None:
        """The client went away: what is awaited for it is cancelled."""
        self.gone = True
        for future in list(self._awaited):
            future.cancel()

    def add(self, future: asyncio.Future[Any]) -> None:
        """It is awaited for the client: cancelled when that goes, or at once if it went."""
        self._awaited.add(future)
        if self.gone:
            future.cancel()

    def discard(self, future: asyncio.Future[Any]) -> None:
        """It is awaited no more."""
        self._awaited.discard(future)

    async def unless_gone(self, future: asyncio.Future[T]) -> T:
        """The future's result.

        Raises:
            ClientDisconnect: if the client goes first, or went before.
        """
        self.add(future)
        try:
            return await future
        except asyncio.CancelledError:
            if self.gone:
                raise ClientDisconnect from None
            future.cancel()
            raise
        finally:
            self.discard(future)


def presence_of(scope: Scope, receive: Receive) -> Presence:
    """The presence of a request's client: the connection knows; elsewhere ``receive`` is asked while one waits."""
    found = scope.get(SCOPE_KEY)
    return found if isinstance(found, Presence) else _Asked(receive)


class _Asked(Presence):
    def __init__(self, receive: Receive) -> None:
        super().__init__()
        self._receive = receive

    async def unless_gone(self, future: asyncio.Future[T]) -> T:
        async def result() -> T:
            return await future

        return await while_present(self._receive, result())


async def while_present(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work, which is cancelled when the client goes.

    Args:
        receive: of a request whose body was read, or is not wanted.
        work: its result and its errors are given as they are.

    Raises:
        ClientDisconnect: if the client went away first.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_departure(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        leaving.result()  # an error of the server's own is not a departure
        raise ClientDisconnect
    finally:
        for task in (working, leaving):
            task.cancel()
        # What the work holds is given back before the request ends.
        await asyncio.wait((working, leaving))


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
