"""Connections taken from a listening socket, as many as there are.

uvloop takes one in each turn of the event loop. Where 400 clients come at a time and every turn is full of requests,
the last of them would wait ten seconds to be taken, unseen by any limit.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

BACKLOG = 2_048
_AT_A_TIME = 128
_PAUSE_SECONDS = 0.5


class Acceptor:
    """Stands where uvicorn expects an ``asyncio.Server``."""

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._protocol = protocol
        self._connecting: set[asyncio.Task[None]] = set()
        self._resuming: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._resume()

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """What is listened on."""
        return (self._listener,)

    def close(self) -> None:
        """Take those that wait, and no more, and close what is listened on; calling it again does nothing."""
        self._pause()
        # The kernel told them that they are connected: they may have asked already, and would be reset.
        with suppress(OSError):  # no descriptors are left
            while self._listener.fileno() >= 0 and self._accept_some() == _AT_A_TIME:
                pass
        self._listener.close()

    async def wait_closed(self) -> None:
        """Until connections that were being taken are."""
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _resume(self) -> None:
        self._resuming = None
        self._loop.add_reader(self._listener, self._accept)

    def _pause(self) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)

    def _accept(self) -> None:
        try:
            self._accept_some()
        except OSError:  # no descriptors are left: some will be, and until then the reader would not rest
            self._pause()
            self._resuming = self._loop.call_later(_PAUSE_SECONDS, self._resume)

    def _accept_some(self) -> int:
        """Take so many at most; gives how many there were."""
        for number in range(_AT_A_TIME):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return number
            task = self._loop.create_task(self._connect(connection))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)
        return _AT_A_TIME

    async def _connect(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # it was closed meanwhile
            connection.close()
