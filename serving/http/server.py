"""The process: a socket taken before anything else, and an end that loses no request."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any
from typing import Protocol as Interface

import uvicorn
from starlette.types import ASGIApp

from serving.catalog import Catalog
from serving.errors import ServingError
from serving.http.acceptor import Acceptor
from serving.http.connection import Protocol
from serving.http.cors import CrossOrigin
from serving.http.direct import Direct
from serving.http.instrument import Instrument
from serving.metrics import Traffic
from serving.settings import Settings

_LAST_SECONDS = 0.1


class Beside(Interface):
    """What listens beside the public HTTP address, in the same event loop."""

    async def start(self) -> str:
        """Answer from now on; gives where, in words."""

    async def stop(self, grace_seconds: float) -> None:
        """Take nothing more, and end when what was taken is answered, or after so many seconds."""


def bind(host: str, port: int) -> socket.socket:
    """Take the address; who connects before :func:`serve` accepts is kept waiting, not refused.

    Raises:
        ServingError: if it is taken, not this machine's, or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(1)  # on Linux two sockets with SO_REUSEADDR may bind; only one may listen
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ServingError(
            f"Cannot listen on {host}:{port}: {error.strerror}.",
            "Choose another --port, or stop what holds it.",
        ) from error
    return listener


def configuration(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """How uvicorn runs the application, or another one beside it."""

    class Connection(Protocol):
        receive_seconds = settings.receive_seconds
        send_seconds = settings.send_seconds
        max_connections = settings.max_connections
        traffic = app.context.metrics.http if isinstance(app, Instrument) else Traffic()
        direct = Direct(app) if isinstance(app, Instrument) else None

    if isinstance(app, Instrument) and settings.cors_origins:
        app = CrossOrigin(app, settings.cors_origins)  # around what refuses requests: a page may read why
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        log_level="error",  # below it uvicorn says, as often as clients like, that what they send is no HTTP
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here depends on who a proxy says has asked
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        backlog=2048,
    )


def serve(
    app: ASGIApp, listener: socket.socket, catalog: Catalog, settings: Settings, beside: Sequence[Beside] = ()
) -> None:
    """Answer until SIGTERM or SIGINT, then until the last request in flight is answered."""
    config = configuration(app, settings)
    _Server(config, catalog, settings.drain_seconds, url_of(listener), beside).run(sockets=[listener])


def url_of(listener: socket.socket) -> str:
    """Where a listener of HTTP is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class _Server(uvicorn.Server):
    """uvicorn, which closes its socket at once when asked to stop.

    Here readiness falls first and every socket stays open for ``drain_seconds``, so that a load balancer has
    seen it before connections are refused. A second signal ends the wait. Then all of them close at once.
    """

    def __init__(
        self, config: uvicorn.Config, catalog: Catalog, drain_seconds: float, url: str, beside: Sequence[Beside]
    ) -> None:
        super().__init__(config)
        self._beside = beside
        self._catalog = catalog
        self._drain_seconds = drain_seconds
        self._url = url
        self._stop_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            places = [await one.start() for one in self._beside]
        except ServingError:
            await self._stop_beside(0)  # those that started
            raise
        # Not uvicorn's own listening, which takes one connection at a time.
        await super().startup([])
        if self.started:
            acceptors: list[Any] = [Acceptor(listener, self._connection) for listener in sockets or []]
            self.servers += acceptors  # each does what uvicorn wants of an asyncio.Server
            print(f"Serving {', '.join(self._catalog.slots)} at {', '.join([self._url, *places])}", flush=True)

    def _connection(self) -> asyncio.Protocol:
        connection: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return connection(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # All take nothing more from the same moment on; what was taken has one time to end, whatever it came over.
        grace = float(self.config.timeout_graceful_shutdown or 0)
        started = time.monotonic()
        for server in self.servers:
            server.close()
        stopping = asyncio.ensure_future(self._stop_beside(grace))
        for server in self.servers:
            await server.wait_closed()
        # Connections that have asked nothing are closed: of the last to come the requests are read first.
        await asyncio.sleep(_LAST_SECONDS)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        # uvicorn's end lets go of the models: what else answers from them has ended by then.
        await stopping
        self.config.timeout_graceful_shutdown = max(1, round(grace - (time.monotonic() - started)))
        await super().shutdown(sockets)

    async def _stop_beside(self, grace_seconds: float) -> None:
        await asyncio.gather(*(one.stop(grace_seconds) for one in self._beside))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._stop_at is not None:
            self._stop_at = 0.0
            return
        self._catalog.draining = True
        self._stop_at = time.monotonic() + self._drain_seconds

    async def on_tick(self, counter: int) -> bool:
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)
