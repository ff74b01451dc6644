"""Around every method: what ``serving.http.instrument`` is for HTTP."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import grpc
from google.protobuf.message import DecodeError

from serving.catalog import Served
from serving.errors import MalformedRequest, ModelNotReady, RequestError
from serving.grpc.status import code_of
from serving.http.context import STICKY_HEADER, Context
from serving.http.failures import late
from serving.http.instrument import VERDICT_HEADER, VERSION_HEADER
from serving.operations.deadlines import Deadlines
from serving.operations.operations import Operations
from serving.operations.request_ids import REQUEST_ID_HEADER, take_request_id
from serving.operations.tracing import RequestTrace
from serving.protocol.grpc.messages import Message
from serving.split import Choice

logger = logging.getLogger(__name__)

_OF_THE_SERVER = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}
_FAILURE = "the server failed; its log says why"


class Call:
    """One call on its way.

    Attributes:
        request_bytes: size of its message.
        served: the version that it is for, as soon as that is known.
        choice: whether a canary answers it; the same at every look.
    """

    __slots__ = ("choice", "request_bytes", "served")

    def __init__(self, request_bytes: int, sticky: str = "") -> None:
        self.request_bytes = request_bytes
        self.choice = Choice(sticky)
        self.served: Served | None = None


class Door:
    """Whether calls are taken; shut, they are told to go elsewhere."""

    __slots__ = ("shut",)

    def __init__(self) -> None:
        self.shut = False


Method = Callable[[Message, Call], Awaitable[Message]]


class Instrumented:
    """A method, from bytes to bytes, with its id, deadline, status, metrics, line in the log, and trace.

    A client that cancels, or whose own deadline passes, cancels the coroutine: what it waits for in the queue
    is dropped there.
    """

    def __init__(
        self,
        route: str,
        request_class: Message,
        method: Method,
        context: Context,
        operations: Operations,
        door: Door,
    ) -> None:
        self._door = door
        self._route = route
        self._request_class = request_class
        self._method = method
        self._metrics = context.metrics
        self._traffic = context.metrics.grpc
        self._bodies = context.bodies
        self._deadlines = Deadlines(context.settings.timeout_seconds)
        self._operations = operations

    async def __call__(self, content: bytes, context: Any) -> bytes:
        """Answer one call."""
        started = time.perf_counter()
        given = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        call = Call(len(content), given.get(STICKY_HEADER.decode(), ""))
        request_id = take_request_id(given.get(REQUEST_ID_HEADER, "").encode())
        tracing = self._operations.tracing
        trace = tracing.request(self._route, given) if tracing else None
        self._traffic.in_flight += 1
        self._traffic.received_bytes += call.request_bytes
        status, details = grpc.StatusCode.CANCELLED, ""
        deadline = self._deadlines.begin()
        try:
            try:
                if self._door.shut:
                    raise ModelNotReady("the server is shutting down.")
                self._bodies.hold(call.request_bytes)
                try:
                    response: bytes = (await self._method(self._parse(content), call)).SerializeToString()
                finally:
                    self._bodies.let_go(call.request_bytes)
                status = grpc.StatusCode.OK
            except RequestError as error:
                status, details = self._refused(error)
            except asyncio.CancelledError:
                if not deadline.expired:
                    raise
                deadline.answered()
                status, details = self._refused(late(self._deadlines.seconds))
            except Exception:  # a defect of this server's own: the log has it, and the client no word of it
                logger.exception("a call failed")
                status, details = grpc.StatusCode.INTERNAL, _FAILURE
            finally:
                self._deadlines.end(deadline)
            context.set_trailing_metadata(_metadata(request_id, call.served))
            if status is not grpc.StatusCode.OK:
                await context.abort(status, details)
            self._traffic.sent_bytes += len(response)
            return response
        finally:
            self._traffic.in_flight -= 1
            self._record(status, call, time.perf_counter() - started, trace)

    def _parse(self, content: bytes) -> Message:
        # Here and not in gRPC, which would call it a failure of the server's own.
        try:
            return self._request_class.FromString(content)
        except DecodeError as error:
            raise MalformedRequest(f"the message is no {self._request_class.DESCRIPTOR.name}.") from error

    def _refused(self, error: RequestError) -> tuple[grpc.StatusCode, str]:
        self._metrics.refused(error.reason)
        return code_of(error), str(error)

    def _record(self, status: grpc.StatusCode, call: Call, seconds: float, trace: RequestTrace | None) -> None:
        self._metrics.observe(self._route, status.name, seconds)
        if call.served:
            self._metrics.versions.observe(call.served, status.name, seconds)
        if status is grpc.StatusCode.CANCELLED:
            self._traffic.cancelled += 1
        went_well = status is grpc.StatusCode.OK
        if went_well and trace is None and not self._operations.access_log.everything:
            return
        model, version = (call.served.name, call.served.version) if call.served else ("", "")
        failed: Literal["", "client", "server"] = (
            "" if went_well else "server" if status in _OF_THE_SERVER else "client"
        )
        self._operations.access_log.note(
            self._route, status.name, seconds, failed=failed, model=model, version=version, transport="grpc"
        )
        if trace is not None:
            trace.encoded()
            attributes = {"rpc.system": "grpc", "rpc.method": self._route.lstrip("/"), "ganvas.model": model}
            code: dict[str, str | int] = {"rpc.grpc.status_code": status.value[0], "ganvas.version": version}
            trace.end(self._route, {**attributes, **code}, failed=failed == "server")


def _metadata(request_id: str, served: Served | None) -> list[tuple[str, str]]:
    metadata = [(REQUEST_ID_HEADER, request_id)]
    if served is not None:
        # Metadata is ASCII; version names of MLflow's registry are.
        version = served.version.encode("ascii", "replace").decode()
        metadata += [(VERSION_HEADER, version), (VERDICT_HEADER, served.verdict)]
    return metadata
