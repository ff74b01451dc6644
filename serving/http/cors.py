"""Cross-origin requests (the Fetch standard, section 3.2): allowed to the origins that the settings name, to no other.

Without it a page from elsewhere can send a request but reads no answer, and not why there is none. Cookies are no
matter: the server has none.
"""

from __future__ import annotations

from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.instrument import VERDICT_HEADER, VERSION_HEADER

_ANSWERS = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": "authorization, content-type, ganvas-sticky",
    "access-control-max-age": "600",
}


def _asks_first(scope: Scope, headers: Headers) -> bool:
    return scope["method"] == "OPTIONS" and "access-control-request-method" in headers


class Preflight:
    """ASGI middleware that answers what a browser asks beforehand, if the origin is allowed.

    Args:
        origins: exactly as a browser sends them.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass any other request on."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            if _asks_first(scope, headers) and headers.get("origin", "") in self._origins:
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        await self._app(scope, receive, send)


class CrossOrigin:
    """ASGI middleware that says in every answer, a refusal too, which origin may read it.

    Args:
        app: all of the application, with :class:`Preflight` in it.
        origins: exactly as a browser sends them.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        allowed = origin in self._origins
        asks_first = _asks_first(scope, headers)

        async def send_allowing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": list(message.get("headers", ()))}
                answer = MutableHeaders(scope=message)
                answer.add_vary_header("origin")
                if allowed:
                    answer["access-control-allow-origin"] = origin
                    answer["access-control-expose-headers"] = f"{VERSION_HEADER}, {VERDICT_HEADER}"
                    for name, value in _ANSWERS.items() if asks_first else ():
                        answer[name] = value
            await send(message)

        await self._app(scope, receive, send_allowing)
