"""Logs: one record a line whatever a client sends, with what is known of the request."""

from __future__ import annotations

import io
import json
import logging
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.operations.logs import (
    AccessLog,
    JsonFormatter,
    TextFormatter,
    access_logger,
    configure_logging,
    printable,
    set_level,
)
from serving.operations.request_ids import REQUEST_ID, take_request_id


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """The loggers of the process, as they were."""
    root, own = logging.getLogger(), logging.getLogger("serving")
    state, level, request_id = (root.level, root.handlers[:]), own.level, REQUEST_ID.get()
    root.handlers.clear()
    yield
    root.setLevel(state[0])
    root.handlers[:] = state[1]
    own.setLevel(level)
    REQUEST_ID.set(request_id)


def record(message: str, **extra: Any) -> logging.LogRecord:
    made = logging.LogRecord("serving.x", logging.WARNING, __file__, 1, message, None, None)
    made.__dict__.update(extra)
    return made


def logged(capture: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capture.getvalue().splitlines()]


@pytest.fixture
def capture() -> io.StringIO:
    stream = io.StringIO()
    configure_logging("auto", "info", stream)
    return stream


def test_what_is_no_terminal_gets_json(capture: io.StringIO) -> None:
    logging.getLogger("serving.registry").warning("version %s is refused", 3)
    (line,) = logged(capture)
    assert (line["level"], line["logger"], line["message"]) == ("warning", "serving.registry", "version 3 is refused")
    assert line["time"].endswith("Z")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(line["time"])).total_seconds()) < 60


def test_a_terminal_gets_text_and_a_choice_wins() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for log_format, is_json in (("auto", False), ("text", False), ("json", True)):
        stream = Terminal()
        logging.getLogger().handlers.clear()
        configure_logging(log_format, "info", stream)  # type: ignore[arg-type]
        logging.getLogger("serving").info("hello")
        assert stream.getvalue().startswith("{") == is_json
        assert "hello" in stream.getvalue()


def test_the_level_is_of_this_servers_own_loggers(capture: io.StringIO) -> None:
    logging.getLogger("serving.x").debug("quiet")
    set_level("debug")
    logging.getLogger("serving.x").debug("said")
    logging.getLogger("elsewhere").debug("quiet")
    assert [line["message"] for line in logged(capture)] == ["said"]


@given(st.text())
@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()], ids=["json", "text"])
def test_a_record_is_one_line(formatter: logging.Formatter, text: str) -> None:
    line = formatter.format(record(text, ganvas_fields={"model": text}))
    assert len(line.splitlines()) == 1
    assert line.isprintable()
    line.encode("utf-8")


@pytest.mark.parametrize("text", ["a\nb", "a\r\nERROR x", "\x1b[2J", "\x85", "\u2028", "\udc00", "\x00", "\x7f"])
def test_what_could_forge_a_line_is_escaped(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(text) != text
    assert json.loads(JsonFormatter().format(record(text)))["message"] == printable(text)


def test_plain_text_stays() -> None:
    assert printable("schön: ∇ ok") == "schön: ∇ ok"


def test_a_long_message_is_cut() -> None:
    line = JsonFormatter().format(record("x" * (1 << 20)))
    assert len(line) < 20_000
    assert "1048576 characters" in line


def test_lines_of_a_traceback_are_marked(capture: io.StringIO) -> None:
    error = ValueError("first\n2026-11-23 INFO forged")
    try:
        raise error
    except ValueError as raised:
        information = (type(raised), raised, raised.__traceback__)
    text = TextFormatter().format(record("failed", exc_info=information))
    assert all(line.startswith("  | ") for line in text.splitlines()[1:])
    assert "forged" in json.loads(JsonFormatter().format(record("failed", exc_info=information)))["exception"]


# -- request ids ----------------------------------------------------------------------------------------


@given(st.binary(max_size=300))
def test_a_request_id_is_sane(given_id: bytes) -> None:
    name = take_request_id(given_id)
    assert 1 <= len(name) <= 128
    assert name.isascii() and name.isprintable() and " " not in name
    sane = 1 <= len(given_id) <= 128 and all(0x21 <= byte <= 0x7E for byte in given_id)
    assert (name.encode() == given_id) == sane


def test_ids_that_are_made_are_different() -> None:
    assert len({take_request_id(None) for _ in range(1000)}) == 1000


def test_an_answer_carries_the_id_that_the_request_had(gan: Any) -> None:
    get = gan.client.get
    assert get("/v2", headers={"x-request-id": "abc/1"}).headers["x-request-id"] == "abc/1"
    assert get("/nothing", headers={"x-request-id": "abc/2"}).headers["x-request-id"] == "abc/2"
    made = {get("/v2", headers={"x-request-id": wrong}).headers["x-request-id"] for wrong in ("a b", "x" * 129, "")}
    assert len(made) == 3
    assert made.isdisjoint({"a b", "x" * 129, ""})


# -- access log -----------------------------------------------------------------------------------------


def test_a_request_is_logged_if_that_is_wanted(serving: Any, make_bundle: Any, capture: io.StringIO) -> None:
    with serving(bundles={"m": make_bundle()}, access_log=True) as running:
        running.client.get("/v1/models/m/images?n=1", headers={"x-request-id": "mine"})
    lines = [line for line in logged(capture) if line["logger"] == "serving.access"]
    (line,) = lines
    assert line["request_id"] == "mine"
    assert (line["route"], line["status"], line["transport"]) == ("/v1/models/{model}/images", 200, "http")
    assert (line["model"], line["version"]) == ("m", "bundle")
    assert 0 < line["seconds"] < 20


def test_errors_are_logged_anyhow_and_others_are_not(serving: Any, make_bundle: Any, capture: io.StringIO) -> None:
    with serving(bundles={"m": make_bundle()}) as running:
        running.client.get("/v2")
        running.client.get("/nothing")
        running.catalog.slots["m"].withdraw()
        running.client.get("/v2/models/m")
    found = [(line["status"], line["level"]) for line in logged(capture) if line["logger"] == "serving.access"]
    assert found == [(404, "info"), (503, "warning")]


def test_errors_are_sampled_and_the_sample_says_so(capture: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("serving.operations.logs.monotonic", lambda: now[0])
    log = AccessLog(everything=False, errors_per_second=2)
    for _ in range(10):
        log.note("r", 404, 0.0, failed="client")
    log.note("r", 500, 0.0, failed="server")
    now[0] += 1
    log.note("r", 404, 0.0, failed="client")
    lines = logged(capture)
    assert [line["status"] for line in lines] == [404, 404, 500, 404]
    assert [line.get("left_out") for line in lines] == [None, None, None, 8]


def send(url: Any, head: bytes) -> None:
    """A request to whose end the server may not listen."""
    with socket.create_connection((url.host, url.port), timeout=10) as client, suppress(ConnectionError):
        client.sendall(head + b"Host: x\r\nConnection: close\r\n\r\n")
        while client.recv(1 << 16):
            pass


def test_no_client_forges_a_line(serving: Any, make_bundle: Any, capture: io.StringIO) -> None:
    forged = '{"time": "2026-11-23T00:00:00Z", "level": "error", "logger": "serving", "message": "forged"}'
    values = [b"a\x0b" + forged.encode(), b"x" * 50_000, forged.encode(), b"\xff\xfe\x85", b"x\ty"]
    with serving(bundles={"m": make_bundle()}, access_log=True) as running:
        url = running.client.base_url
        for value in values:
            for path in (b"/" + value.replace(b" ", b"%20"), b"/a%0a%0d" + forged.encode().replace(b" ", b"%0a")):
                send(url, b"GET %s HTTP/1.1\r\nX-Request-Id: %s\r\nTraceparent: %s\r\n" % (path, value, value))
        send(url, b"GET / HTTP/1.1\r\nX-Request-Id: " + b"x" * (1 << 20) + b"\r\n")
    lines = logged(capture)
    assert not any(line["message"] == "forged" or line["logger"] == "serving" for line in lines)
    assert all(len(json.dumps(line)) < 1000 for line in lines)
    assert access_logger.name == "serving.access"
