"""Work is done for a client only as long as it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.types import Receive

T = TypeVar("T")


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
