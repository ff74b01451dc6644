"""The gRPC server, in the event loop of the HTTP server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import grpc
import grpc.aio

from serving.errors import RequestError, ServingError
from serving.grpc.call import Door, Instrumented
from serving.grpc.service import Service
from serving.grpc.status import code_of
from serving.http.body import memory_is_filled
from serving.http.context import Context
from serving.metrics import Metrics
from serving.operations.operations import Operations
from serving.operations.token import Token, unauthorized
from serving.protocol.grpc.messages import SERVICE, methods

_SHUT_SECONDS = 0.2
_OPEN_METHODS = (f"/{SERVICE}/ServerLive", f"/{SERVICE}/ServerReady")


class GrpcServer:
    """Answers on an address of its own.

    Attributes:
        port: the one that it listens on, once it was started.
    """

    def __init__(self, context: Context, operations: Operations, *, host: str, port: int) -> None:
        self._host = f"[{host}]" if ":" in host else host
        self._context = context
        self._operations = operations
        self._server: Any = None
        self._door = Door()
        self.port = port

    async def start(self) -> str:
        """Take the address and answer; gives where, in words.

        Raises:
            ServingError: if the address is taken, not this machine's, or not allowed.
        """
        settings, token = self._context.settings, self._operations.token
        server = grpc.aio.server(
            interceptors=[_Guard(token, self._context.metrics)] if token else [],
            options=[
                ("grpc.max_receive_message_length", settings.max_body_bytes),
                ("grpc.max_send_message_length", -1),  # it follows from max_batch
                ("grpc.so_reuseport", 0),  # a second server on the same port is an error, as with HTTP
            ],
            # Refused before their messages are read, so that this bounds the memory, too.
            maximum_concurrent_rpcs=settings.max_requests,
        )
        server.add_generic_rpc_handlers([_Methods(self._context, self._operations, self._door)])
        try:
            self.port = server.add_insecure_port(f"{self._host}:{self.port}")
        except RuntimeError as error:
            raise ServingError(
                f"Cannot listen on {self._host}:{self.port} for gRPC.",
                "Choose another grpc_port, or stop what holds it.",
            ) from error
        await server.start()
        self._server = server
        return f"grpc://{self._host}:{self.port}"

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls; cancel those that are in flight after so many seconds.

        gRPC's own end cancels calls that have just arrived, which looks to a client as if it had done so itself.
        Hence they are first told that this server is unavailable, until none is in flight.
        """
        if self._server is None:
            return
        self._door.shut = True
        ends_at = monotonic() + grace_seconds
        await asyncio.sleep(min(_SHUT_SECONDS, grace_seconds))
        while self._context.metrics.grpc.in_flight and monotonic() < ends_at:
            await asyncio.sleep(0.01)
        await self._server.stop(max(0.0, ends_at - monotonic()))


class _Methods(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types
    """The service's methods by their addresses.

    Messages share the memory that the bodies over HTTP have. gRPC knows no size before it has read a message: hence
    each is counted once it is there, and while the memory is filled no more are read.
    """

    def __init__(self, context: Context, operations: Operations, door: Door) -> None:
        service = Service(context)
        self._bodies = context.bodies
        self._filled = _refusing(memory_is_filled(), context.metrics)
        self._handlers: dict[str, Any] = {}
        for name, (request_class, _) in methods().items():
            method = getattr(service, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
            address = f"/{SERVICE}/{name}"
            instrumented = Instrumented(address, request_class, method, context, operations, door)
            self._handlers[address] = grpc.unary_unary_rpc_method_handler(instrumented.__call__)

    def service(self, details: Any) -> Any:
        """The handler of a call, None if there is no such method; asked before the call's message is read."""
        if self._bodies.full and details.method in self._handlers and details.method not in _OPEN_METHODS:
            return self._filled
        return self._handlers.get(details.method)


class _Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """Refuses calls without the token before their messages are read."""

    def __init__(self, token: Token, metrics: Metrics) -> None:
        self._token = token
        self._refusing = _refusing(unauthorized(), metrics)

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        if details.method in _OPEN_METHODS:
            return await continuation(details)
        given = next((value for key, value in details.invocation_metadata if key == "authorization"), "")
        if self._token.accepts(given.encode() if isinstance(given, str) else given):
            return await continuation(details)
        return self._refusing


def _refusing(error: RequestError, metrics: Metrics) -> Any:
    """A handler that reads no message.

    It is one of a stream of messages, which looks the same to a client; of a single one gRPC would read it first.
    """

    async def refuse(_: object, context: Any) -> None:
        metrics.refused(error.reason)
        await context.abort(code_of(error), str(error))

    return grpc.stream_unary_rpc_method_handler(refuse)
