"""The way past ASGI for small requests for inference: from the connection to the batcher and back.

A task, a scope and messages for each request cost more than the run of a small model. Only what is plain goes this
way; whatever is seen to be wrong before the run goes the long one, where it is put into words.
"""

from __future__ import annotations

import asyncio
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Protocol

from starlette.responses import Response
from starlette.types import Scope

from serving.catalog import Served
from serving.errors import RequestError
from serving.http.context import CHOICE_KEY, STICKY_HEADER
from serving.http.failures import CLIENT_GONE, answer_to, late, server_failed, shutting_down
from serving.http.head import Head
from serving.http.inference import SMALL_BODY_BYTES, Answer, decode, encoder, headers_of
from serving.http.presence import Presence
from serving.http.routes.model import PREFIXES
from serving.operations.request_ids import REQUEST_ID, REQUEST_ID_HEADER, name_request
from serving.split import Choice

if TYPE_CHECKING:
    from serving.http.instrument import Instrument

logger = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]

_ROUTE, _ROUTE_OF_VERSION = (f"{prefix}/infer" for prefix in PREFIXES)
_LONG_WAY = frozenset((b"content-encoding", b"transfer-encoding", b"expect", b"upgrade", b"origin"))
_OWN = frozenset((b"content-length", b"connection"))
_MOST_DIGITS = len(str(SMALL_BODY_BYTES))
_ID = REQUEST_ID_HEADER.encode()
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Target(NamedTuple):
    """What a head says: a model, a version if it names one, and the fields."""

    model: str
    version: str | None
    given: dict[bytes, bytes]


class Connection(Protocol):
    """What is needed of one."""

    presence: Presence

    def common_head(self) -> bytes:
        """Header lines that every answer has."""

    def answer(self, exchange: Exchange, content: bytes) -> None:
        """Write a whole answer; then comes the next request, or the end."""

    def leave(self, exchange: Exchange) -> None:
        """The client has gone: there is nothing to be written."""


class Direct:
    """Answers requests for inference of one application.

    Args:
        instrument: around the application; what it does for every request is done here, too.
    """

    def __init__(self, instrument: Instrument) -> None:
        context, operations = instrument.context, instrument.operations
        self.instrument = instrument
        self._catalog = context.catalog
        self._admission = context.admission
        self._traffic = context.metrics.http
        self._token = operations.token
        self._closed = operations.tracing is not None  # a trace is of a task
        self._most_bytes = min(SMALL_BODY_BYTES, context.settings.max_body_bytes)
        self._vary = [(b"vary", b"origin")] if context.settings.cors_origins else []

    def target(self, method: bytes, url: bytes, headers: Headers) -> Target | None:
        """What a request is for, as its head says; none if it goes the long way."""
        if method != b"POST" or self._closed or self._catalog.draining:
            return None
        match url.split(b"/"):
            case [b"", b"v2", b"models", model, b"infer"]:
                version = None
            case [b"", b"v2", b"models", model, b"versions", named, b"infer"] if named.isalnum():
                version = named.decode("ascii")
            case _:
                return None
        given = dict(headers)
        length = given.get(b"content-length", b"0")
        if (
            (name := model.decode("latin-1")) not in self._catalog.slots
            or len(given) < len(headers)
            or not _LONG_WAY.isdisjoint(given)
            or len(length) > _MOST_DIGITS
            or int(length) > self._most_bytes  # the parser saw that it is a number
            or not (self._token is None or self._token.accepts(given.get(b"authorization")))
        ):
            return None
        return Target(name, version, given)

    def begin(self, connection: Connection, target: Target, body: bytes | bytearray, scope: Scope) -> Exchange | None:
        """Let a request be computed; none if it goes the long way.

        Args:
            scope: of the long way.
        """
        given = target.given
        json_bytes = given.get(b"inference-header-content-length")
        if json_bytes is not None and not (json_bytes.isdigit() and len(json_bytes) <= _MOST_DIGITS):
            return None
        accept_encoding = given.get(b"accept-encoding", b"").decode("latin-1")
        head = Head(len(body), None, None if json_bytes is None else int(json_bytes), accept_encoding)
        choice = None
        if self._catalog.has_canaries:
            choice = scope[CHOICE_KEY] = Choice(given.get(STICKY_HEADER, b"").decode("latin-1"))
        try:
            served = self._catalog.get(target.model, target.version, choice)
            self._admission.take()  # before the work that it bounds
        except RequestError:
            return None
        try:
            query = decode(body, head, served)
            computing = served.predictor.start(query.inputs, tuple(query.outputs), encoder(served, head, query))
        except BaseException as error:  # whatever it is, the place is free again
            self._admission.give_back()
            if isinstance(error, Exception):
                return None  # a defect, too, is answered and logged there
            raise
        served.hold()
        self._traffic.in_flight += 1
        route = _ROUTE if target.version is None else _ROUTE_OF_VERSION
        return Exchange(self, connection, served, route, given.get(_ID), computing)

    def end(self, exchange: Exchange, status: int, body: bytes, refused: str) -> None:
        """A request is answered, or not wanted any more."""
        exchange.served.let_go()
        self._admission.give_back()
        self._traffic.in_flight -= 1
        self._traffic.sent_bytes += len(body)
        seconds = time.perf_counter() - exchange.started
        self.instrument.record(exchange.route, exchange.served, status, seconds, refused)

    def head(self, exchange: Exchange, status: int, headers: Headers, length: int, name: str) -> bytes:
        """Of an answer, as it is written."""
        own = (
            (b"content-length", b"%d" % length),
            *self.instrument.headers(name, exchange.served),
            *self._vary,
        )
        lines = [b"%b: %b\r\n" % header for header in (*headers, *own)]
        if self._catalog.draining:
            exchange.keep_alive = False
        if not exchange.keep_alive:
            lines.append(b"connection: close\r\n")
        return b"".join((_STATUS_LINES[status], exchange.connection.common_head(), *lines, b"\r\n"))


class Exchange:
    """A request in hand; uvicorn takes it for one of its own.

    Attributes:
        keep_alive: the connection is for another request afterwards.
    """

    class _NobodyWaits:
        def set(self) -> None:
            """Nothing."""

    message_event = _NobodyWaits()
    more_body = response_started = False

    def __init__(
        self,
        direct: Direct,
        connection: Connection,
        served: Served,
        route: str,
        given_id: bytes | None,
        computing: asyncio.Future[Answer],
    ) -> None:
        self.response_complete = self.disconnected = False
        self.keep_alive = True
        self.connection = connection
        self.served = served
        self.route = route
        self.started = time.perf_counter()
        self._direct = direct
        self._name = name_request(given_id)
        self._computing = computing
        self._deadline = direct.instrument.deadlines.begin(computing)
        connection.presence.add(computing)
        computing.add_done_callback(self._computed)

    def cancel(self, msg: str = "") -> None:
        """The server stops, and this request takes longer than others get to finish."""
        self._computing.cancel()

    def _computed(self, computing: asyncio.Future[Answer]) -> None:
        self.connection.presence.discard(computing)
        self._direct.instrument.deadlines.end(self._deadline)
        self.response_complete = True
        REQUEST_ID.set(self._name)  # for the log; a callback has a context of its own
        if not computing.cancelled() and computing.exception() is None:
            answer = computing.result()
            self._answer(200, headers_of(answer), answer[0].body)
        elif self.connection.presence.gone:
            self._direct.end(self, CLIENT_GONE, b"", "")
            self.connection.leave(self)
        else:
            response, refused = self._problem(computing)
            headers = [header for header in response.raw_headers if header[0] not in _OWN]
            self._answer(response.status_code, headers, bytes(response.body), refused)

    def _answer(self, status: int, headers: Headers, body: bytes, refused: str = "") -> None:
        self._direct.end(self, status, body, refused)
        self.connection.answer(self, self._direct.head(self, status, headers, len(body), self._name) + body)

    def _problem(self, computing: asyncio.Future[Answer]) -> tuple[Response, str]:
        """What is answered instead, and why in one word if the request was refused."""
        if computing.cancelled() and not self._deadline.expired:
            self.keep_alive = False
            return shutting_down(), ""
        error = late(self._direct.instrument.deadlines.seconds) if computing.cancelled() else computing.exception()
        if isinstance(error, RequestError):
            return answer_to(error), error.reason
        logger.error("a request failed", exc_info=error)
        return server_failed(), ""
