"""HTTP/1.1 as uvicorn speaks it, with an end for every wait, and with errors that are JSON."""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from serving.http.body import BODY_KEY
from serving.http.direct import Direct, Exchange, Target
from serving.http.presence import SCOPE_KEY, Presence
from serving.http.surplus import Surplus
from serving.metrics import Traffic

# The application answers a slow body with an error; here is the end of whoever does not hear it.
_GRACE_SECONDS = 1.0
_LEAST_SENT_BYTES = 1 << 16
_SHORT_SECONDS = 0.02  # after a head, for a small body to follow it
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
    direct: Direct | None = None
    _common: tuple[list[tuple[bytes, bytes]] | None, bytes] = (None, b"")

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._receiving: asyncio.TimerHandle | None = None
        self._sending: asyncio.TimerHandle | None = None
        self._unsent = 0
        self._head_bytes = 0
        self._segment_bytes = 0
        self._due_seconds = 0.0
        self._idle_until = 0.0
        self._idle: asyncio.TimerHandle | None = None
        self._target: Target | None = None
        self._giving_up: asyncio.TimerHandle | None = None
        self._body = bytearray()
        self.presence = Presence()

    # -- receiving ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Who connects and says nothing is let go, too."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            if len(self.connections) > 2 * self.max_connections:
                transport.abort()
            self.receive_seconds = min(self.receive_seconds, _GRACE_SECONDS)
            self.app = Surplus(self.app)
        self._await_rest(self.receive_seconds)

    def data_received(self, data: bytes) -> None:
        """Bytes that neither begin nor end a request prolong nothing; those of no body are counted."""
        self._idle_until = 0.0
        self._segment_bytes = len(data)
        self._head_bytes += len(data)
        self.traffic.received_bytes += len(data)
        super().data_received(data)
        if self._target is not None and self._giving_up is None:
            self._giving_up = self.loop.call_later(_SHORT_SECONDS, self._take_long_way)
        if self._head_bytes > _HEAD_BYTES:
            self._refuse("431 Request Header Fields Too Large", f"a head may have at most {_HEAD_BYTES} bytes")
            return
        idle = self.cycle is None or self.cycle.response_complete
        if self._due_seconds:
            self._await_rest(self._due_seconds)
            self._due_seconds = 0.0
        elif idle and self._receiving is None and not self._idle_until:
            self._await_rest(self.receive_seconds)

    def on_message_begin(self) -> None:
        """The first byte of a request is there."""
        super().on_message_begin()
        self._due_seconds = self.receive_seconds

    def on_headers_complete(self) -> None:
        """The head is whole; what a chunked body has for trailers is none of it (RFC 9110, section 6.5.1)."""
        self._due_seconds = self.receive_seconds + _GRACE_SECONDS
        self.headers = []  # not the list in the scope any more
        if self.direct and self._is_plain():
            self._target = self.direct.target(self.parser.get_method(), self.url, self.scope["headers"])  # type: ignore[arg-type]
        if self._target is None:
            self._start()

    def _is_plain(self) -> bool:
        """Whether a request may be answered past ASGI, as far as the connection knows."""
        return (
            (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not isinstance(self.app, Surplus)
            and self.parser.get_http_version() == "1.1"
        )

    def _start(self) -> None:
        """Hand the request to the application."""
        self.scope[SCOPE_KEY] = self.presence  # type: ignore[literal-required]
        super().on_headers_complete()
        self.scope[BODY_KEY] = partial(_whole_body, self.cycle)  # type: ignore[literal-required]
        if len(self.pipeline) > _MOST_PIPELINED:
            self.transport.abort()  # an answer would come out of turn

    def _take_long_way(self) -> None:
        """There the rest of the body is waited for, or what is wrong is put into words."""
        self._forget_target()
        self._start()
        if self._body:
            body, self._body = self._body, bytearray()
            super().on_body(bytes(body))

    def on_body(self, body: bytes) -> None:
        """What is no head; it has a limit of its own."""
        self._head_bytes = 0
        if self._target is None:
            super().on_body(body)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        """The request is whole. A large one had stopped the reading, by which it is seen that the client goes."""
        self._head_bytes = 0
        self._due_seconds = 0.0
        self._stop_receiving()
        if self._target is not None and self._begin_exchange(self._target):
            return
        super().on_message_complete()
        if not self.pipeline:
            self.flow.resume_reading()

    def _begin_exchange(self, target: Target) -> bool:
        """Whether the request is on its way past ASGI; else it is on the long one."""
        assert self.direct
        exchange = self.direct.begin(self, target, self._body, self.scope)  # type: ignore[arg-type]
        if exchange is None:
            self._take_long_way()
            return False
        self._forget_target()
        self._body = bytearray()
        exchange.keep_alive = self.parser.should_keep_alive()
        self.cycle = exchange  # type: ignore[assignment]
        self.tasks.add(exchange)  # type: ignore[arg-type]
        return True

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
            self._close()

    def _forget_target(self) -> None:
        self._target = None
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    # -- sending --------------------------------------------------------------------------------------

    def common_head(self) -> bytes:
        """Header lines that every answer has."""
        headers, lines = Protocol._common
        if headers is not self.server_state.default_headers:  # another list every second, for the date
            headers = self.server_state.default_headers
            lines = b"".join([b"%b: %b\r\n" % header for header in headers])
            Protocol._common = headers, lines
        return lines

    def answer(self, exchange: Exchange, content: bytes) -> None:
        """Write a whole answer; then comes the next request, or the end."""
        self.leave(exchange)
        if not self.transport.is_closing():
            self.transport.write(content)
            if not exchange.keep_alive:
                self.transport.close()
        self.on_response_complete()

    def leave(self, exchange: Exchange) -> None:
        """The client has gone, or has its answer: the server's end does not wait for the request any more."""
        self.tasks.discard(exchange)

    def on_response_complete(self) -> None:
        """The next request of this connection, or a wait for one.

        uvicorn sets and clears a timer of the event loop for each wait; here one looks, when it is due, at when
        the last wait began.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._await_last_reader()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        if self._receiving is not None:  # the next request has begun: it has the time of a request
            return
        self._idle_until = self.loop.time() + self.timeout_keep_alive
        if self._idle is None:
            self._idle = self.loop.call_later(self.timeout_keep_alive, self._look_idle)

    def _look_idle(self) -> None:
        self._idle = None
        left = self._idle_until - self.loop.time()
        if not self._idle_until or self.transport.is_closing():
            return
        if left > 0:
            self._idle = self.loop.call_later(left, self._look_idle)
        else:
            self._close()

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer is written."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._stop_sending()
        if self.transport.is_closing():
            self._await_last_reader()

    def _await_reader(self) -> None:
        self._stop_sending()
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

    def _await_last_reader(self) -> None:
        """A transport that is closed waits, without an end, until what was written is read."""
        if self._sending is None and self in self.connections and self.transport.get_write_buffer_size():
            self._await_reader()

    # -- the end --------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """The server stops. A head whose body is on its way is a request, too."""
        if self._target is not None:
            self._take_long_way()
        super().shutdown()
        self._await_last_reader()

    def _close(self) -> None:
        self.transport.close()
        self._await_last_reader()

    def eof_received(self) -> None:
        """The client is done with the connection, which is closed for it; what was begun for it ends now."""
        super().eof_received()
        self.presence.leave()
        self._await_last_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        """No timer outlives its connection."""
        super().connection_lost(exc)
        self.presence.leave()
        self._due_seconds = self._idle_until = 0.0
        self._forget_target()
        self._stop_receiving()
        self._stop_sending()
        if self._idle is not None:
            self._idle.cancel()

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
        self._close()

    def _owes_another(self) -> bool:
        """Whether an answer is due, or under way, that is not the one to what is being received."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return False
        return bool(self.pipeline) or cycle.response_started or not cycle.more_body
