"""JSON answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def error_response(message: str, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """An error: ``{"error": "..."}``, whatever it is."""
    return json_response({"error": message}, status, headers)
