"""What comes over one connection: each answer to its own request, and nothing read as what it is not."""

from __future__ import annotations

import logging
import re
import socket
from typing import Any

import pytest

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n"
UPGRADE = LIVE + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n"


def answers(running: Any, content: bytes) -> tuple[list[int], bytes]:
    """The statuses of all answers to one segment, after which nothing more is sent, and all that came."""
    url = running.client.base_url
    with socket.create_connection((url.host, url.port), timeout=10) as client:
        client.sendall(content)
        client.settimeout(1)
        found = b""
        try:
            while part := client.recv(1 << 16):
                found += part
        except TimeoutError:
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", found)], found


@pytest.mark.parametrize(
    "trailer",
    [b"inference-header-content-length: 0", b"content-encoding: gzip", b"x-request-id: trailer"],
)
def test_trailers_are_no_headers(gan: Any, trailer: bytes) -> None:
    head = b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    statuses, found = answers(gan, head + b"2\r\n{}\r\n0\r\n" + trailer + b"\r\n\r\n")
    assert statuses == [200]
    assert b"x-request-id: trailer" not in found


def test_a_token_does_not_come_in_a_trailer(serving: Any, make_bundle: Any, tmp_path: Any) -> None:
    path = tmp_path / "token"
    path.write_text("t0ken")
    head = b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serving(bundles={"m": make_bundle()}, auth_token_file=path) as running:
        statuses, _ = answers(running, head + b"2\r\n{}\r\n0\r\nauthorization: Bearer t0ken\r\n\r\n")
    assert statuses == [401]


def test_no_part_of_a_request_is_lost_behind_an_upgrade(gan: Any) -> None:
    """The parser drops the rest of a segment there: what comes next would be read from its middle."""
    statuses, found = answers(gan, UPGRADE + LIVE)
    assert statuses == [200]
    assert b"connection: close" in found
    assert answers(gan, UPGRADE)[0] == [200]
    assert b"connection: close" not in answers(gan, UPGRADE)[1], "nothing was lost there"


def test_an_error_is_no_answer_to_the_request_before(gan: Any) -> None:
    statuses, _ = answers(gan, LIVE + b"\r\n\0no HTTP\r\n\r\n")
    assert 400 not in statuses
    assert answers(gan, b"\0no HTTP\r\n\r\n")[0] == [400]
    broken = b"POST /v2/repository/index HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n"
    assert answers(gan, broken)[0] == [400]


def test_what_is_no_http_writes_no_log(gan: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        answers(gan, b"\0no HTTP\r\n\r\n")
        answers(gan, UPGRADE)
    assert not caplog.records


def test_a_server_that_is_about_to_end_keeps_no_connection(serving: Any, make_bundle: Any) -> None:
    with serving(bundles={"m": make_bundle()}) as running:
        assert "connection" not in running.client.get("/v2/health/live").headers
        running.catalog.draining = True
        for path in ("/v2/health/live", "/v2/health/ready", "/v1/models/m/images?n=1"):
            assert running.client.get(path).headers["connection"] == "close"
