"""Routes for the operator, on an address of their own; off unless they have a port.

They say what is served and why something is not, let the server look at its registry now, and change how much
it logs. They load nothing that a request names but the models that are served anyway.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.catalog import Slot
from serving.errors import MalformedRequest, RequestError, UnknownModel
from serving.http.failures import answer_to, on_failure, on_http_error, on_request_error
from serving.http.instrument import Instrument
from serving.http.responses import error_response, json_response
from serving.http.server import bind, configuration, url_of
from serving.operations.logs import LEVELS, set_level
from serving.operations.token import unauthorized
from serving.settings_shown import masked_settings
from serving.software import software_version

_LARGEST_BODY_BYTES = 1024
_SHUTDOWN_SECONDS = 1


class AdminServer:
    """A second HTTP server in the same event loop.

    Attributes:
        url: where it is, once it was started.
    """

    def __init__(self, app: Instrument, *, host: str, port: int) -> None:
        self._app = admin_app(app)
        self._settings = app.context.settings
        self._host, self._port = host, port
        self._server: uvicorn.Server | None = None
        self._listener: socket.socket | None = None
        self.url = ""

    async def start(self) -> str:
        """Take the address and answer; gives where, in words.

        Raises:
            ServingError: if the address is taken, not this machine's, or not allowed.
        """
        self._listener = bind(self._host, self._port)
        self.url = url_of(self._listener)
        config = configuration(self._app, self._settings)
        config.timeout_graceful_shutdown = _SHUTDOWN_SECONDS
        config.load()
        self._server = uvicorn.Server(config)
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[self._listener])
        return f"admin {self.url}"

    async def stop(self, grace_seconds: float) -> None:
        """End; a look at the registry may take minutes, and what the public routes have left to end is not for it."""
        if self._server is not None and self._listener is not None:
            await self._server.shutdown(sockets=[self._listener])


def admin_app(app: Instrument) -> ASGIApp:
    """The admin routes over a running application."""
    admin = _Admin(app)
    inner = Starlette(
        routes=[
            Route("/metrics", admin.exposition),
            Route("/status", admin.status),
            Route("/models/{model}/reload", admin.reload, methods=["POST"]),
            Route("/log-level", admin.log_level, methods=["POST"]),
        ],
        exception_handlers={RequestError: on_request_error, HTTPException: on_http_error, Exception: on_failure},
    )
    inner.router.redirect_slashes = False
    return _Guarded(inner, app)


class _Guarded:
    """Wants the token, if there is one, for all but the metrics; and answers no browser.

    A page of somewhere else may let its reader's browser send requests to loopback. They carry its origin; or else a
    name of its own in ``Host``, which it lets the name service give this address for (DNS rebinding). Hence a name is
    answered only if it is ``localhost`` or the one that is configured; an address cannot be given to another. And
    what changes something wants a Content-Type that no form can send.
    """

    def __init__(self, app: ASGIApp, public: Instrument) -> None:
        self._app = app
        self._token = public.operations.token
        self._names = ("localhost", public.context.settings.admin_host.lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        answer: ASGIApp = self._app
        if b"origin" in headers or b"sec-fetch-site" in headers:
            answer = error_response("the admin routes answer no browser", 403)
        elif not self._is_own(headers.get(b"host", b"").decode("latin-1")):
            answer = error_response("the admin routes answer to an address, localhost or admin_host in Host", 403)
        elif self._token and scope["path"] != "/metrics" and not self._token.accepts(headers.get(b"authorization")):
            answer = answer_to(unauthorized())
        elif scope["method"] == "POST" and not _is_json(headers.get(b"content-type", b"")):
            answer = error_response("send it with Content-Type: application/json", 415)
        await answer(scope, receive, send)

    def _is_own(self, host: str) -> bool:
        """Whether ``HOST[:PORT]`` is a name of this server, or an address."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            if name not in self._names:
                ip_address(name)
        except ValueError:
            return False
        return True


def _is_json(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() == b"application/json"


class _Admin:
    def __init__(self, app: Instrument) -> None:
        self._context = app.context

    async def exposition(self, request: Request) -> Response:
        return Response(self._context.metrics.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def status(self, request: Request) -> Response:
        catalog = self._context.catalog
        return json_response(
            {
                "software_version": software_version(),
                "ready": not catalog.not_ready_because(),
                "draining": catalog.draining,
                "not_ready_because": catalog.not_ready_because(),
                "models": [self._describe(slot) for slot in catalog.slots.values()],
                "settings": masked_settings(self._context.settings),
            }
        )

    def _describe(self, slot: Slot) -> dict[str, Any]:
        described: dict[str, Any] = {
            "name": slot.name,
            "problem": slot.problem,
            "refusal": self._context.watcher.refusal(slot) if self._context.watcher else "",
            "version": None,
        }
        if slot.current:
            predictor = slot.current.predictor
            runs, rows = predictor.waiting
            described |= {
                "version": slot.current.version,
                "verdict": slot.current.verdict,
                "provider": predictor.provider,
                "recipe": predictor.signature.lineage.recipe,
                "queue_runs": runs,
                "queue_rows": rows,
            }
        return described

    async def reload(self, request: Request) -> Response:
        name = request.path_params["model"]
        slot = self._context.catalog.slots.get(name)
        if slot is None:
            raise UnknownModel(
                f"there is no model {name!r} here.", f"Served: {', '.join(self._context.catalog.slots)}."
            )
        if self._context.watcher is None:
            raise MalformedRequest(f"model {name!r} is a bundle directory: there is no registry to look at.")
        # It goes on if the operator gives up waiting: a half-taken version is nobody's wish.
        await asyncio.shield(asyncio.ensure_future(self._context.watcher.look_now(slot)))
        return json_response(self._describe(slot))

    async def log_level(self, request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST_BODY_BYTES:
                raise MalformedRequest(f"the body may have at most {_LARGEST_BODY_BYTES} bytes.")
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise MalformedRequest(f"the body is not JSON: {error}.") from error
        level = document.get("level") if isinstance(document, dict) else None
        if level not in LEVELS:
            raise MalformedRequest(f"level must be one of {', '.join(LEVELS)}.")
        set_level(level)
        return json_response({"level": level})
