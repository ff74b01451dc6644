"""Past ASGI or through it: the same answers, in the same order, counted alike."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from serving.errors import MalformedRequest
from serving.http.routes.model import Infer
from tests.serving.test_serving_codec import MALFORMED, request, tensor
from tests.serving.test_serving_deadlines import connection

GOOD = {
    "json": (request(id="a"), None),
    "json, binary out": (request(parameters={"binary_data_output": True}), None),
    "binary": None,
    "raw": (bytes(24), 0),
    "two rows raw": (bytes(48), 0),
}
_BINARY_HEAD = json.dumps(
    {"inputs": [tensor(data=..., parameters={"binary_data_size": 24})], "parameters": {"binary_data_output": True}}
).encode()
GOOD["binary"] = (_BINARY_HEAD + bytes(24), len(_BINARY_HEAD))


def written(path: str, body: bytes, json_bytes: int | None = None, **fields: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", "X-Request-Id: mine"]
    if json_bytes is not None:
        lines.append(f"Inference-Header-Content-Length: {json_bytes}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers but for the date, body."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(1) or pytest.fail(f"closed after {received!r}")
    first, *lines = received.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    body = b""
    while len(body) < int(headers["content-length"]):
        body += client.recv(int(headers["content-length"]) - len(body))
    del headers["date"]
    return int(first.split()[1]), headers, body


@pytest.fixture
def through_asgi(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of requests that came through ASGI."""
    seen: list[str] = []
    call = Infer.__call__

    async def noting(self: Infer, scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])
        await call(self, scope, receive, send)

    monkeypatch.setattr(Infer, "__call__", noting)
    return seen


@pytest.fixture(scope="module")
def models(serving: Any, make_bundle: Any) -> Iterator[Any]:
    with serving(bundles={"m": make_bundle(), "c": make_bundle(conditional=True)}) as running:
        yield running


def both_ways(running: Any, path: str, body: bytes, json_bytes: int | None) -> list[tuple[int, dict[str, str], bytes]]:
    """The answers to a request past ASGI, and through it; the same head twice over is not plain."""
    found = []
    with connection(running) as client:
        for fields in ({}, {"X_Twice": "1", "x_twice": "2"}):
            client.sendall(written(path, body, json_bytes, **fields))
            found.append(answer(client))
    return found


@pytest.mark.parametrize(("body", "json_bytes"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("path", ["/v2/models/m/infer", "/v2/models/m/versions/bundle/infer"])
def test_both_ways_give_the_same(
    models: Any, through_asgi: list[str], path: str, body: bytes, json_bytes: int | None
) -> None:
    direct, long = both_ways(models, path, body, json_bytes)
    assert direct == long
    assert direct[0] == 200
    assert through_asgi == [path]


@pytest.mark.parametrize(("model", "body"), [case for case in MALFORMED.values() if case[1]])
def test_what_is_wrong_is_refused_alike(models: Any, model: str, body: bytes) -> None:
    direct, long = both_ways(models, f"/v2/models/{model}/infer", body, None)
    assert direct == long
    assert 400 <= direct[0] < 500


@pytest.mark.parametrize("size", [-1, 1, 25, 10_000])
def test_lengths_that_lie_are_refused_alike(models: Any, size: int) -> None:
    head = json.dumps({"inputs": [tensor(data=..., parameters={"binary_data_size": size})]}).encode()
    direct, long = both_ways(models, "/v2/models/m/infer", head + bytes(24), len(head))
    assert direct == long
    assert direct[0] == 400


@pytest.mark.parametrize("patience_seconds", [60.0, 0.01])
def test_a_body_may_follow_its_head(
    models: Any, through_asgi: list[str], monkeypatch: pytest.MonkeyPatch, patience_seconds: float
) -> None:
    """Most clients send them apart; one that takes its time is waited for elsewhere."""
    monkeypatch.setattr("serving.http.connection._SHORT_SECONDS", patience_seconds)
    content = written("/v2/models/m/infer", request())
    with connection(models) as client:
        client.sendall(content[:-1])
        time.sleep(0.1)
        client.sendall(content[-1:])
        assert answer(client)[0] == 200
        client.sendall(content)
        assert answer(client)[0] == 200
    assert len(through_asgi) == (patience_seconds < 0.1)


@pytest.mark.parametrize(
    "fields",
    [
        {"Origin": "http://elsewhere"},
        {"Content_Encoding": "identity"},
        {"Upgrade": "h2c"},
    ],
    ids=str,
)
def test_what_is_not_plain_goes_the_long_way(models: Any, through_asgi: list[str], fields: dict[str, str]) -> None:
    with connection(models) as client:
        client.sendall(written("/v2/models/m/infer", request(), **fields))
        status, _, _ = answer(client)
    assert len(through_asgi) == 1
    assert status in (200, 415)


def test_answers_come_in_the_order_of_the_requests(models: Any) -> None:
    """Those behind the first of a segment are queued, and may not overtake it."""
    requests = [written("/v2/models/m/infer", request(id=str(number))) for number in range(20)]
    requests[3] = requests[7] = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with connection(models) as client:
        client.sendall(b"".join(requests))
        found = [json.loads(answer(client)[2]) for _ in requests]
    assert [each.get("id", "") for each in found] == ["" if n in (3, 7) else str(n) for n in range(20)]


def test_a_connection_that_is_to_be_closed_is_closed(models: Any, through_asgi: list[str]) -> None:
    with connection(models) as client:
        client.sendall(written("/v2/models/m/infer", request(), Connection="close"))
        status, headers, _ = answer(client)
        assert (status, headers["connection"]) == (200, "close")
        assert client.recv(1) == b""
    assert not through_asgi


def test_answers_are_counted(models: Any, through_asgi: list[str]) -> None:
    labels = 'route="/v2/models/{model}/infer",status="200"'

    def counts() -> tuple[float, float, float]:
        metric = models.metric
        return (
            metric(f"ganvas_serve_requests_total{{{labels}}}"),
            metric(f"ganvas_serve_request_seconds_count{{{labels}}}"),
            metric('ganvas_serve_version_requests_total{model="m",role="main",status="200",version="bundle"}'),
        )

    models.client.post("/v2/models/m/infer", content=request())
    before = counts()
    for _ in range(3):
        models.client.post("/v2/models/m/infer", content=request())
    assert [after - was for after, was in zip(counts(), before, strict=True)] == [3, 3, 3]
    assert not through_asgi
    assert models.metric('ganvas_serve_in_flight{transport="http"}') == 1  # who asks


@pytest.mark.parametrize(
    ("error", "status"), [(MalformedRequest("extreme"), 400), (ValueError("no words for clients"), 500)]
)
def test_an_error_of_the_run_is_answered_and_leaves_nothing(
    models: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    predictor = models.catalog.slots["m"].current.predictor

    def fails(*_: object) -> asyncio.Future[Any]:
        failed = asyncio.get_running_loop().create_future()
        failed.set_exception(error)
        return failed

    with monkeypatch.context() as changed, connection(models) as client:
        changed.setattr(predictor, "start", fails)
        client.sendall(written("/v2/models/m/infer", request()))
        found, headers, body = answer(client)
    assert (found, headers["ganvas-model-version"], set(json.loads(body))) == (status, "bundle", {"error"})
    assert b"no words" not in body
    assert models.client.post("/v2/models/m/infer", content=request()).status_code == 200
