"""Around the whole application: what holds for every request, whatever its route.

Its id, its deadline, the token, the count of connections; its metrics, its line in the log and its trace; the
version that answered; an answer for who is cut off.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.catalog import Served
from serving.errors import Overloaded, RequestError
from serving.http.failures import CLIENT_GONE, REFUSED_KEY, late, refuse, shutting_down
from serving.http.surplus import SURPLUS_KEY
from serving.operations.deadlines import Deadlines
from serving.operations.operations import Operations
from serving.operations.request_ids import REQUEST_ID_HEADER, take_request_id
from serving.operations.token import unauthorized
from serving.operations.tracing import RequestTrace, Tracing

if TYPE_CHECKING:
    from serving.http.context import Context

VERSION_HEADER = "ganvas-model-version"
VERDICT_HEADER = "ganvas-model-verdict"
_OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")
_ID_KEY, _VERSION_KEY, _VERDICT_KEY = (name.encode() for name in (REQUEST_ID_HEADER, VERSION_HEADER, VERDICT_HEADER))
_SERVED_KEY = "ganvas.served"


def name_version(scope: Scope, served: Served) -> None:
    """Let the answer to this request, be it an error, name the version it comes from."""
    scope[_SERVED_KEY] = served


class Instrument:
    """ASGI middleware.

    Attributes:
        context: of the application inside.
        deadlines: of the requests in hand.
    """

    def __init__(self, app: ASGIApp, context: Context, operations: Operations) -> None:
        self._app = app
        self.context = context
        self.operations = operations
        self._metrics = context.metrics
        self._traffic = context.metrics.http
        self.deadlines = Deadlines(context.settings.timeout_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        given = dict(scope["headers"])
        request_id = take_request_id(given.get(_ID_KEY))
        trace = _trace(self.operations.tracing, given) if self.operations.tracing else None
        status = 0
        deadline = self.deadlines.begin()
        traffic = self._traffic
        traffic.in_flight += 1

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self.deadlines.end(deadline)  # from here on send_seconds holds
                own = self.headers(request_id, scope.get(_SERVED_KEY))
                message = {**message, "headers": [*message["headers"], *own]}
                # At the end a connection that is kept would be closed under its client's next request.
                if SURPLUS_KEY in scope or self.context.catalog.draining:
                    message["headers"].append((b"connection", b"close"))
                if trace is not None:
                    trace.encoded()
            else:
                traffic.sent_bytes += len(message.get("body", b""))
            await send(message)

        try:
            refusal = self._refusal(scope, given.get(b"authorization"))
            if refusal is None:
                await self._app(scope, receive, send_named)
            else:
                await refuse(refusal, scope, receive, send_named)
        except asyncio.CancelledError:
            if status:
                raise
            if deadline.expired:
                deadline.answered()
                await refuse(late(self.deadlines.seconds), scope, receive, send_named)
            else:
                # The server stops, and this request took longer than others get to finish.
                await shutting_down()(scope, receive, send_named)
        finally:
            self.deadlines.end(deadline)
            traffic.in_flight -= 1
            self._record_scope(scope, status or 500, time.perf_counter() - started, trace)

    def headers(self, request_id: str, served: Served | None) -> list[tuple[bytes, bytes]]:
        """What every answer has: the request's id, and the version that it comes from, if there is one."""
        own = [(_ID_KEY, request_id.encode())]
        if served:
            own.append((_VERSION_KEY, served.version.encode("latin-1", "replace")))
            own.append((_VERDICT_KEY, served.verdict.encode()))
        return own

    def _refusal(self, scope: Scope, authorization: bytes | None) -> RequestError | None:
        """Why this request is not even looked at, if so."""
        token = self.operations.token
        if token is None and SURPLUS_KEY not in scope:
            return None
        # Who asks whether the server lives must hear it when it is busy most of all.
        if scope["path"] in _OPEN_PATHS:
            return None
        if SURPLUS_KEY in scope:
            return Overloaded("the server has as many connections as it serves.", "Try again in a moment.")
        # A browser asks for another origin's leave (OPTIONS) before it sends a token; that answer tells nothing.
        if token is not None and scope["method"] != "OPTIONS" and not token.accepts(authorization):
            return unauthorized()
        return None

    def _record_scope(self, scope: Scope, status: int, seconds: float, trace: RequestTrace | None) -> None:
        # The route's pattern, not the path: one time series a route, however many addresses are tried.
        route = getattr(scope.get("route"), "path", "unmatched")
        served: Served | None = scope.get(_SERVED_KEY)
        self.record(route, served, status, seconds, scope.get(REFUSED_KEY, ""))
        if trace is not None:
            model, version = (served.name, served.version) if served else ("", "")
            attributes = {"http.request.method": scope["method"], "http.route": route}
            attributes |= {"http.response.status_code": status, "ganvas.model": model, "ganvas.version": version}
            trace.end(f"{scope['method']} {route}", attributes, failed=status >= 500)

    def record(self, route: str, served: Served | None, status: int, seconds: float, refused: str = "") -> None:
        """One answer for the metrics and the log.

        Args:
            route: the pattern of its address.
            served: the version that it comes from, if there is one.
            refused: why it is an error, in one word, if it was refused.
        """
        self._metrics.observe(route, status, seconds)
        if served:
            self._metrics.versions.observe(served, status, seconds)
        if refused:
            self._metrics.refused(refused)
        if status == CLIENT_GONE:
            self._traffic.cancelled += 1
        if status < 400 and not self.operations.access_log.everything:
            return
        model, version = (served.name, served.version) if served else ("", "")
        failed: Literal["", "client", "server"] = "server" if status >= 500 else "client" if status >= 400 else ""
        self.operations.access_log.note(route, status, seconds, failed=failed, model=model, version=version)


def _trace(tracing: Tracing, headers: dict[bytes, bytes]) -> RequestTrace:
    carrier = {
        name: headers[name.encode()].decode("latin-1")
        for name in ("traceparent", "tracestate")
        if name.encode() in headers
    }
    return tracing.request("HTTP", carrier)
