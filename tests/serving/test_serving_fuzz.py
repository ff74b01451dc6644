"""Whatever is sent: an answer, or a 4xx with one error. Never a 5xx."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

OFTEN = settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
SIZES = st.sampled_from([-1, 0, 1, 2, 6, 16, 17, 2**31, 2**63 - 1, 2**64, True, 1.5, None, "6"])
VALUES = st.sampled_from([0, 1, -1, 0.5, 1e39, 2**63, 10**400, True, None, "1", [], {}, [[1.0] * 6]])
SHAPES = st.lists(SIZES, max_size=9) | st.sampled_from([[1, 6], [2, 6], [1]]) | SIZES
DATA = st.lists(VALUES, max_size=12) | st.sampled_from([[0.5] * 6, [[0.5] * 6] * 2, [1]]) | VALUES
TYPES = st.sampled_from(["FP32", "FP64", "INT64", "UINT8", "BOOL", "BYTES", "", None, 3])
NAMES = st.sampled_from(["latent", "label", "pixels", "image", "", "\x00", "\U0001f600", None, 1])
TENSORS = st.fixed_dictionaries(
    {}, optional={"name": NAMES, "datatype": TYPES, "shape": SHAPES, "data": DATA, "parameters": VALUES}
)
NEARLY = st.fixed_dictionaries(
    {"name": st.just("latent"), "datatype": st.just("FP32"), "shape": SHAPES, "data": DATA},
    optional={"parameters": VALUES},
)
REQUESTS = st.fixed_dictionaries(
    {"inputs": st.lists(TENSORS | NEARLY, max_size=3) | VALUES},
    optional={"id": VALUES, "outputs": st.lists(TENSORS, max_size=2) | VALUES, "parameters": VALUES},
)


def check(answer: Any) -> None:
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        assert answer.status_code >= 400
        assert set(answer.json()) == {"error"}


@OFTEN
@given(model=st.sampled_from("mvc"), document=REQUESTS)
def test_any_document_is_answered(gan: Any, model: str, document: Any) -> None:
    check(gan.client.post(f"/v2/models/{model}/infer", content=json.dumps(document).encode()))


@OFTEN
@given(body=st.binary(max_size=200))
def test_any_bytes_are_answered(gan: Any, body: bytes) -> None:
    for path in ("/v2/models/m/infer", "/v2/repository/index"):
        check(gan.client.post(path, content=body))


@OFTEN
@given(
    parts=st.lists(st.text(max_size=12) | st.sampled_from(["v1", "v2", "models", "m", "images", "infer"]), max_size=6)
)
def test_any_address_is_answered(gan: Any, parts: list[str]) -> None:
    base = str(gan.client.base_url).rstrip("/")
    path = base + "/" + "/".join(quote(part, safe="") for part in parts)
    for method in ("GET", "POST"):
        check(gan.client.request(method, path))


@OFTEN
@given(query=st.dictionaries(st.sampled_from(["n", "seed", "label", "format", "layout", ""]), st.text(max_size=22)))
def test_any_query_is_answered(gan: Any, query: dict[str, str]) -> None:
    check(gan.client.get("/v1/models/c/images", params=query))
