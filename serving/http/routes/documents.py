"""What a browser reads: the page with its style and its script, and the server's description."""

from __future__ import annotations

import hashlib

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving.http.context import Context
from serving.http.openapi.document import openapi_document
from serving.page.page import CONTENT_SECURITY_POLICY, page_file, status_page
from serving.software import software_version

_PAGE_HEADERS = {
    "cache-control": "no-store",  # it shows the state of this moment
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def routes(context: Context) -> list[Route]:
    """Their addresses."""
    models = list(context.catalog.slots)
    document = orjson.dumps(openapi_document(context.settings, models, software_version()))

    async def page(request: Request) -> Response:
        content = status_page(context.catalog, context.settings.max_images)
        return Response(content, media_type="text/html", headers=_PAGE_HEADERS)

    return [
        Route("/", page),
        _fixed("/page.css", page_file("page.css"), "text/css"),
        _fixed("/page.js", page_file("page.js"), "text/javascript"),
        _fixed("/openapi.json", document, "application/json"),
    ]


def _fixed(path: str, content: bytes, media_type: str) -> Route:
    """Content that a browser keeps, and asks about by its hash (RFC 9110, section 13.1.2)."""
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = {"etag": tag, "cache-control": "no-cache", "x-content-type-options": "nosniff"}

    async def answer(request: Request) -> Response:
        known = [part.strip().removeprefix("W/") for part in request.headers.get("if-none-match", "").split(",")]
        if tag in known or known == ["*"]:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return Route(path, answer)
