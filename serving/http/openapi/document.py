"""The OpenAPI 3.1 document."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from serving.http.instrument import VERDICT_HEADER, VERSION_HEADER
from serving.http.openapi.operations import Content, Operation, operations
from serving.http.openapi.schemas import SCHEMAS, reference
from serving.http.parameters import Parameter
from serving.settings import Settings

_OF_ALL = (401, 503, 504)
_REASONS = {
    400: "The request is wrong; the error says where.",
    401: "The server wants a bearer token.",
    404: "There is no such model, or not in that version.",
    408: "The body did not arrive in time.",
    413: "The body, or the picture in it, is too large.",
    415: "The body is of a kind that is not read here.",
    503: "There is no room, or no version to answer with; Retry-After says when to ask again.",
    504: "The answer was not ready in time.",
}


def openapi_document(settings: Settings, models: Collection[str], version: str) -> dict[str, Any]:
    """The description of a server.

    Args:
        settings: its limits.
        models: the names that are served.
        version: of the software.
    """
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations(settings):
        described = _operation(operation, settings)
        paths.setdefault(operation.path, _path_parameters(operation.path, models))[operation.method] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ganvas serving",
            "version": version,
            "description": "Generative models over HTTP: the Open Inference Protocol v2 under /v2, pictures under /v1. "
            'Every error is {"error": "..."}.',
        },
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _path_parameters(path: str, models: Collection[str]) -> dict[str, Any]:
    known = {
        "model": ("a model that is served here", {"type": "string", "enum": list(models)}),
        "version": ("the version that answers", {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}),
    }
    found = [
        {"name": name, "in": "path", "required": True, "description": description, "schema": schema}
        for name, (description, schema) in known.items()
        if f"{{{name}}}" in path
    ]
    return {"parameters": found} if found else {}


def _operation(operation: Operation, settings: Settings) -> dict[str, Any]:
    described: dict[str, Any] = {"operationId": operation.name, "summary": operation.summary}
    if operation.description:
        described["description"] = operation.description
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body:
        described["requestBody"] = {
            "required": operation.body_required,
            "description": f"At most {settings.max_body_bytes} bytes."
            + (
                f" A picture has at most {settings.max_picture_pixels} pixels." if "image/png" in operation.body else ""
            ),
            "content": _content(operation.body),
        }
    described["responses"] = {
        "200": _answer("The answer.", operation.answer, operation),
        **{
            str(status): _answer(_REASONS[status], {"application/json": reference("Error")}, operation)
            for status in sorted({*operation.errors, *_OF_ALL})
        },
    }
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = dict(parameter.schema)
    if parameter.default is not None:
        schema["default"] = parameter.default
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.description,
        "schema": schema,
    }


def _content(content: Content) -> dict[str, Any]:
    return {media_type: {"schema": schema} if schema else {} for media_type, schema in content.items()}


def _answer(description: str, content: Content, operation: Operation) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": description, "content": _content(content)}
    if operation.of_model:
        answer["headers"] = {
            VERSION_HEADER: {"description": "the version that answered", "schema": {"type": "string"}},
            VERDICT_HEADER: {
                "description": "the gate's verdict on it",
                "schema": {"enum": ["passed", "failed", "missing"]},
            },
        }
    return answer
