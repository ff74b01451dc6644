"""Connections beyond those that are served: their requests are marked, and refused where all requests pass."""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

SURPLUS_KEY = "ganvas.surplus"
"""In the scope of a request that came over more connections than are served."""


class Surplus:
    """The application as such a connection sees it."""

    def __init__(self, app: Any) -> None:
        self._app: ASGIApp = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Mark a request, and pass it on."""
        scope[SURPLUS_KEY] = True
        await self._app(scope, receive, send)
