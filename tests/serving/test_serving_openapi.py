"""The description is valid, complete, and true."""

from __future__ import annotations

import io
from collections import Counter
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from PIL import Image
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.http.openapi.operations import operations
from serving.settings import Settings

EXAMPLES = 8  # of each operation, in each of two ways


@pytest.fixture(scope="module")
def document(friendly: Any) -> dict[str, Any]:
    answer = friendly.client.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    return dict(answer.json())


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    names = [operation["operationId"] for _, _, operation in described(document)]
    assert len(set(names)) == len(names)


def described(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    methods = ("get", "post", "put", "delete", "patch", "head", "options")
    return [
        (path, method, item[method]) for path, item in document["paths"].items() for method in methods if method in item
    ]


def test_every_route_is_in_it_and_nothing_else(document: dict[str, Any], friendly: Any) -> None:
    app = friendly.app
    while not hasattr(app, "routes"):
        app = app._app
    routed = {(route.path, method.lower()) for route in app.routes for method in route.methods - {"HEAD"}}
    assert {(path, method) for path, method, _ in described(document)} == routed


def test_limits_are_those_of_the_settings(document: dict[str, Any]) -> None:
    parameters = document["paths"]["/v1/models/{model}/images"]["get"]["parameters"]
    schemas = {parameter["name"]: parameter["schema"] for parameter in parameters}
    assert (schemas["n"]["minimum"], schemas["n"]["maximum"], schemas["n"]["default"]) == (1, 64, 16)
    assert schemas["seed"]["maximum"] == 2**64 - 1
    assert schemas["truncation"] == {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 1.0}
    assert schemas["format"]["enum"] == ["png", "webp", "jpeg", "npy"]
    (model,) = document["paths"]["/v1/models/{model}/images"]["parameters"]
    assert model["schema"]["enum"] == ["m", "v", "c", "vae", "ae"]
    body = document["paths"]["/v1/models/{model}/encode"]["post"]["requestBody"]
    assert "200000 bytes" in body["description"] and "250000 pixels" in body["description"]


@pytest.mark.parametrize("max_images", [2, 3, 16, 256])
def test_defaults_lie_within_their_limits(max_images: int) -> None:
    for operation in operations(Settings(models=("m",), max_images=max_images)):
        for parameter in operation.parameters:
            if parameter.default is not None and "minimum" in parameter.schema:
                assert parameter.schema["minimum"] <= parameter.default
            if parameter.default is not None:
                Draft202012Validator(parameter.schema).validate(parameter.default)
                assert parameter.read(str(parameter.default)) == parameter.default


def test_bounds_that_are_described_are_those_that_hold(friendly: Any, document: dict[str, Any]) -> None:
    """One step beyond each bound is a 400, the bound itself is not."""
    tried = 0
    for path, operation in ((p, o) for p, m, o in described(document) if m == "get" and "/v1/" in p):
        for parameter in operation.get("parameters", ()):
            schema = parameter["schema"]
            required = {p["name"]: "1" for p in operation["parameters"] if p["required"]}
            for edge, beyond in ((schema.get("minimum"), -1), (schema.get("maximum"), 1)):
                if edge is None:
                    continue
                statuses = [
                    friendly.client.get(
                        path.replace("{model}", "ae"), params=required | {parameter["name"]: str(value)}
                    ).status_code
                    for value in (edge, edge + beyond)
                ]
                assert statuses == [200, 400], (path, parameter["name"], edge)
                tried += 1
    assert tried >= 15


# -- a fuzzer on the document --------------------------------------------------------------------------

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
DOTS = {".", ".."}
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE


def picture(side: int, kind: str, seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def some_bytes(kind: str) -> st.SearchStrategy[bytes]:
    return st.builds(picture, st.integers(1, 20), st.just(kind), st.integers(0, 9)) | st.binary(max_size=64)


def test_whatever_fits_the_description_or_does_not_is_answered_as_it_says(
    friendly: Any, document: dict[str, Any]
) -> None:
    """Answers must be described, errors ``{"error"}``, and none a 5xx."""
    for kind in ("png", "jpeg", "webp"):
        schemathesis.openapi.media_type(f"image/{kind}", some_bytes(kind))
    schemathesis.openapi.media_type("application/octet-stream", some_bytes("png"))
    base = str(friendly.client.base_url).rstrip("/")
    seen: Counter[int] = Counter()

    def check(case: Any) -> None:
        if DOTS & {unquote(str(value)) for value in (case.path_parameters or {}).values()}:
            return  # HTTP clients take these out of an address, which makes it another one
        answer = case.call(base_url=base)
        seen[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error"}

    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = result.ok()
        takes_something = operation.definition.raw.keys() & {"parameters", "requestBody"}
        for mode in (POSITIVE, NEGATIVE) if takes_something else (POSITIVE,):
            bounded = settings(
                max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
            )
            seed(0)(bounded(given(case=operation.as_strategy(generation_mode=mode))(check)))()
    assert seen[200] >= 30 and seen[400] >= 30, seen
