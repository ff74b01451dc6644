"""The gRPC server, in the event loop of the HTTP server."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

from serving.errors import ServingError, Unauthorized
from serving.grpc.call import Instrumented
from serving.grpc.service import Service
from serving.grpc.status import code_of
from serving.http.context import Context
from serving.metrics import Metrics
from serving.operations.operations import Operations
from serving.operations.token import Token
from serving.protocol.grpc.messages import SERVICE, methods

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
        self.port = port

    async def start(self) -> str:
        """Take the address and answer; gives where, in words.

        Raises:
            ServingError: if the address is taken, not this machine's, or not allowed.
        """
        settings, token = self._context.settings, self._operations.token
        self._server = grpc.aio.server(
            interceptors=[_Guard(token, self._context.metrics)] if token else [],
            options=[
                ("grpc.max_receive_message_length", settings.max_body_bytes),
                ("grpc.max_send_message_length", -1),  # it follows from max_batch
                ("grpc.so_reuseport", 0),  # a second server on the same port is an error, as with HTTP
            ],
            # Refused before their messages are read, so that this bounds the memory, too.
            maximum_concurrent_rpcs=settings.max_requests,
        )
        self._server.add_generic_rpc_handlers([_handlers(self._context, self._operations)])
        try:
            self.port = self._server.add_insecure_port(f"{self._host}:{self.port}")
        except RuntimeError as error:
            raise ServingError(
                f"Cannot listen on {self._host}:{self.port} for gRPC.",
                "Choose another grpc_port, or stop what holds it.",
            ) from error
        await self._server.start()
        return f"grpc://{self._host}:{self.port}"

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls; cancel those that are in flight after so many seconds."""
        if self._server is not None:
            await self._server.stop(grace_seconds)


def _handlers(context: Context, operations: Operations) -> Any:
    service = Service(context)
    handlers = {}
    for name, (request_class, _) in methods().items():
        method = getattr(service, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
        instrumented = Instrumented(f"/{SERVICE}/{name}", request_class, method, context, operations)
        handlers[name] = grpc.unary_unary_rpc_method_handler(instrumented.__call__)
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


class _Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls without the token before their messages are read."""

    def __init__(self, token: Token, metrics: Metrics) -> None:
        self._token = token
        self._metrics = metrics

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        if details.method in _OPEN_METHODS:
            return await continuation(details)
        given = next((value for key, value in details.invocation_metadata if key == "authorization"), "")
        if self._token.accepts(given.encode() if isinstance(given, str) else given):
            return await continuation(details)
        return grpc.unary_unary_rpc_method_handler(self._refuse)

    async def _refuse(self, request: bytes, context: Any) -> None:
        error = Unauthorized("this server wants a bearer token.", "Send it as Authorization: Bearer TOKEN.")
        self._metrics.refused(error.reason)
        await context.abort(code_of(error), str(error))
