"""HTTP/1.1 as uvicorn speaks it, with an end for every wait, and with errors that are JSON."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.http.body import BODY_KEY
from serving.http.presence import SCOPE_KEY, Presence
from serving.metrics import Traffic

SURPLUS_KEY = "ganvas.surplus"
"""In the scope of a request that came over more connections than are served."""

# The application answers a slow body with an error; here is the end of whoever does not hear it.
_GRACE_SECONDS = 1.0
_LEAST_SENT_BYTES = 1 << 16
_HEAD_BYTES = 1 << 16
_MOST_PIPELINED = 1000


def _whole_body(cycle: RequestResponseCycle) -> bytearray | None:
    """A request's body, once, if all of it is there; none if it has to be received."""
    if cycle.more_body or cycle.disconnected or cycle.waiting_for_100_continue:
        return None
    body, cycle.body = cycle.body, bytearray()
    return body


class Protocol(HttpToolsProtocol):
    """One connection.

    uvicorn keeps a head of any size, and any number of requests that come before their turn. Here a head, or
    what follows a body, has 64 KiB, and 1000 requests wait.

    uvicorn waits for ever for a head, for the rest of a body that was answered already, and for a client that
    does not read. Here a connection is closed when a head, and then a body, has not arrived in
    ``receive_seconds``, and when ``send_seconds`` went by in which the client took less than 64 KiB of an
    answer that waits for it.

    Connections beyond ``max_connections`` are marked, hear one answer and have a second to ask; beyond twice
    as many nobody is heard.
    """

    receive_seconds = 30.0
    send_seconds = 30.0
    max_connections = 1024
    traffic = Traffic()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._receiving: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._head_bytes = 0
        self._segment_bytes = 0
        self._presence = Presence()

    # -- receiving ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Who connects and says nothing is let go, too."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            if len(self.connections) > 2 * self.max_connections:
                transport.abort()
            self.receive_seconds = min(self.receive_seconds, _GRACE_SECONDS)
            self.app = _Surplus(self.app)
        self._await_rest(self.receive_seconds)

    def data_received(self, data: bytes) -> None:
        """Bytes that neither begin nor end a request prolong nothing; those of no body are counted."""
        self._segment_bytes = len(data)
        self._head_bytes += len(data)
        self.traffic.received_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > _HEAD_BYTES:
            self._refuse("431 Request Header Fields Too Large", f"a head may have at most {_HEAD_BYTES} bytes")
            return
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._receiving is None and self.timeout_keep_alive_task is None:
            self._await_rest(self.receive_seconds)

    def on_message_begin(self) -> None:
        """The first byte of a request is there."""
        super().on_message_begin()
        self._await_rest(self.receive_seconds)

    def on_headers_complete(self) -> None:
        """The head is whole; what a chunked body has for trailers is none of it (RFC 9110, section 6.5.1)."""
        self.scope[SCOPE_KEY] = self._presence  # type: ignore[literal-required]
        super().on_headers_complete()
        self.headers = []  # not the list in the scope any more
        self.scope[BODY_KEY] = partial(_whole_body, self.cycle)  # type: ignore[literal-required]
        if len(self.pipeline) > _MOST_PIPELINED:
            self.transport.abort()  # an answer would come out of turn
        self._await_rest(self.receive_seconds + _GRACE_SECONDS)

    def on_body(self, body: bytes) -> None:
        """What is no head; it has a limit of its own."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole. A large one had stopped the reading, by which it is seen that the client goes."""
        self._head_bytes = 0
        super().on_message_complete()
        self._stop_receiving()
        if not self.pipeline:
            self.flow.resume_reading()

    def _await_rest(self, seconds: float) -> None:
        self._stop_receiving()
        self._receiving = self.loop.call_later(seconds, self._end_receiving, seconds)

    def _stop_receiving(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
            self._receiving = None

    def _end_receiving(self, seconds: float) -> None:
        self._receiving = None
        if self.flow.read_paused:  # it is not the client who keeps us waiting
            self._await_rest(seconds)
        elif not self.transport.is_closing():
            self.transport.close()

    # -- sending --------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer is written."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._stop_sending()

    def _await_reader(self) -> None:
        self._unsent = self.transport.get_write_buffer_size()
        self._sending = self.loop.call_later(self.send_seconds, self._end_sending)

    def _stop_sending(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    def _end_sending(self) -> None:
        self._sending = None
        if self._unsent - self.transport.get_write_buffer_size() < _LEAST_SENT_BYTES:
            self.transport.abort()
        else:
            self._await_reader()

    # -- the end --------------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        """No timer outlives its connection."""
        super().connection_lost(exc)
        self._presence.leave()
        self._stop_receiving()
        self._stop_sending()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets an error like any other."""
        self._refuse("400 Bad Request", msg)

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade is not taken up, and what follows it is HTTP; the parser skipped the rest of its segment."""
        skipped = sys.exception()
        if skipped is None or skipped.args[0] < self._segment_bytes:
            self.shutdown()

    def _refuse(self, status: str, message: str) -> None:
        if self.transport.is_closing():
            return
        if self._owes_another():
            self.transport.abort()  # it would be taken for the answer to a request before this one
            return
        content = orjson.dumps({"error": message})
        head = (
            f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + content)
        self.transport.close()

    def _owes_another(self) -> bool:
        """Whether an answer is due, or under way, that is not the one to what is being received."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        return bool(self.pipeline) or cycle.response_started or not cycle.more_body


class _Surplus:
    def __init__(self, app: Any) -> None:
        self._app: ASGIApp = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[SURPLUS_KEY] = True
        await self._app(scope, receive, send)
