"""Admin routes: on an address of their own, and nowhere else."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.http.admin import AdminServer
from serving.http.beside import beside
from serving.predict.model import load_model
from serving.predict.predictor import Predictor
from serving.registry.source import AliasSource
from serving.registry.watcher import Watcher
from serving.settings import Settings

ROUTES = [("GET", "/status"), ("POST", "/models/m/reload"), ("POST", "/log-level")]


@contextmanager
def admin_of(running: Any) -> Iterator[httpx.Client]:
    server = AdminServer(running.app, host="127.0.0.1", port=0)
    running.call(server.start())
    try:
        headers = {"content-type": "application/json"}
        with httpx.Client(base_url=server.url, timeout=20, trust_env=False, headers=headers) as client:
            yield client
    finally:
        running.call(server.stop(1))


def test_none_of_them_is_on_the_public_port(gan: Any) -> None:
    with admin_of(gan) as admin:
        for method, route in ROUTES:
            assert gan.client.request(method, route).status_code == 404
            assert admin.request(method, route).status_code != 404


def test_they_are_off_by_default(gan: Any) -> None:
    assert beside(gan.app) == []
    assert Settings(models=("m",)).admin_host == "127.0.0.1"


def test_the_status_tells_slots_and_settings(gan: Any) -> None:
    with admin_of(gan) as admin:
        found = admin.get("/status").json()
    assert found["ready"] is True
    models = {model["name"]: model for model in found["models"]}
    assert set(models) == {"m", "v", "c"}
    assert models["m"]["version"] == "bundle"
    assert models["m"]["provider"] == "CPUExecutionProvider"
    assert found["settings"]["max_images"] == 64


def test_no_password_is_told(serving: Any, registry: Any) -> None:
    uri = "https://person:secret@mlflow.example/x"
    with serving(registry=registry, tracking_uri=uri) as running, admin_of(running) as admin:
        answer = admin.get("/status")
    assert "secret" not in answer.text
    assert answer.json()["settings"]["tracking_uri"] == "https://***@mlflow.example/x"


@contextmanager
def patient(serving: Any, registry: Any) -> Iterator[tuple[Any, httpx.Client, Any]]:
    """A server whose watcher would look in an hour; gives it, its admin routes, and the watcher's registry."""
    with serving(registry=type(registry)()) as running:
        running.app.context.watcher = Watcher(
            {"m": AliasSource(registry, "m", "champion")},
            running.catalog,
            running.app.context.metrics,
            lambda bundle: Predictor(load_model(bundle), instances=1, max_batch=1, max_queue=1),
            poll_seconds=3600,
        )
        with admin_of(running) as admin:
            yield running, admin, registry


def test_a_reload_looks_now(serving: Any, registry: Any, make_bundle: Any) -> None:
    with patient(serving, registry) as (running, admin, found):
        assert admin.post("/models/x/reload").status_code == 404
        assert admin.post("/models/m/reload").json()["version"] is None
        for version in ("1", "2"):
            found.move("m", version, make_bundle(seed=int(version)))
            answer = admin.post("/models/m/reload")
            assert (answer.status_code, answer.json()["version"]) == (200, version)
            assert running.client.get("/v2/models/m").json()["versions"] == [version]


def test_a_refused_version_is_tried_again_at_once(serving: Any, registry: Any, make_bundle: Any) -> None:
    with patient(serving, registry) as (running, admin, found):
        found.move("m", "1", make_bundle(nan=True))
        for downloads in (1, 2):
            answer = admin.post("/models/m/reload").json()
            assert "version 1 is refused" in answer["refusal"]
            assert "not finite" in answer["refusal"]
            assert found.downloads == downloads
        running.call(running.app.context.watcher._followers[0].look())
        assert found.downloads == 2, "by itself it waits"
        found.move("m", "2", make_bundle())
        answer = admin.post("/models/m/reload").json()
        assert (answer["version"], answer["refusal"]) == ("2", "")


def test_a_reload_under_way_does_not_take_the_time_of_the_end(serving: Any, make_bundle: Any) -> None:
    looking, over = threading.Event(), threading.Event()

    class Slow:
        async def look_now(self, slot: Any) -> None:
            looking.set()
            await asyncio.to_thread(over.wait, 30)

    with serving(bundles={"m": make_bundle()}, shutdown_seconds=30) as running:
        running.app.context.watcher = Slow()
        server = AdminServer(running.app, host="127.0.0.1", port=0)
        running.call(server.start())
        asking = threading.Thread(target=lambda: httpx.post(f"{server.url}/models/m/reload", json={}, timeout=60))
        asking.start()
        try:
            assert looking.wait(10)
            started = time.monotonic()
            running.call(server.stop(1))
            assert time.monotonic() - started < 5
        finally:
            over.set()
            asking.join()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"level": "loud"}', b'{"level": ["info"]}', b"x" * 2000])
def test_a_wrong_level_is_refused(gan: Any, body: bytes) -> None:
    with admin_of(gan) as admin:
        answer = admin.post("/log-level", content=body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}


def test_the_level_of_the_log_changes(gan: Any) -> None:
    logger = logging.getLogger("serving")
    before = logger.level
    try:
        with admin_of(gan) as admin:
            for level in ("debug", "error"):
                assert admin.post("/log-level", json={"level": level}).json() == {"level": level}
                assert logger.level == getattr(logging, level.upper())
    finally:
        logger.setLevel(before)


@pytest.mark.parametrize("header", ["origin", "sec-fetch-site"])
def test_no_browser_is_answered(gan: Any, header: str) -> None:
    with admin_of(gan) as admin:
        for method, route in ROUTES:
            answer = admin.request(method, route, headers={header: "cross-site"})
            assert answer.status_code == 403
            assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "[::1", "", "127.0.0.1.x"]
)
def test_no_name_that_another_gave_this_address_is_answered(gan: Any, host: str) -> None:
    with admin_of(gan) as admin:
        for method, route in [*ROUTES, ("GET", "/metrics")]:
            answer = admin.request(method, route, headers={"host": host})
            assert answer.status_code == 403
            assert "Host" in answer.json()["error"]


@pytest.mark.parametrize("host", ["localhost", "LocalHost:1", "127.0.0.1", "[::1]:9", "10.1.2.3:80", "Admin.Example:7"])
def test_its_own_names_and_addresses_are_answered(serving: Any, make_bundle: Any, host: str) -> None:
    with serving(bundles={"m": make_bundle()}, admin_host="admin.example") as running, admin_of(running) as admin:
        assert admin.get("/status", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
def test_no_form_changes_anything(gan: Any, kind: str) -> None:
    level = logging.getLogger("serving").level
    with admin_of(gan) as admin:
        for route in ("/models/m/reload", "/log-level"):
            answer = admin.post(route, content=b'{"level": "error"}', headers={"content-type": kind})
            assert answer.status_code == 415
            assert "application/json" in answer.json()["error"]
    assert logging.getLogger("serving").level == level


def test_a_failure_of_its_own_is_json(serving: Any, make_bundle: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        async def look_now(self, slot: Any) -> None:
            raise RuntimeError("s3cret")

    with serving(bundles={"m": make_bundle()}) as running, admin_of(running) as admin:
        running.app.context.watcher = Broken()
        answer = admin.post("/models/m/reload")
    assert (answer.status_code, answer.json()) == (500, {"error": "the server failed; its log says why"})
    assert any(record.exc_info and "s3cret" in str(record.exc_info[1]) for record in caplog.records)


def test_the_token_is_wanted_for_all_but_the_metrics(serving: Any, make_bundle: Any, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("t0ken")
    with serving(bundles={"m": make_bundle()}, auth_token_file=path) as running, admin_of(running) as admin:
        assert "ganvas_serve_in_flight" in admin.get("/metrics").text
        for method, route in ROUTES:
            assert admin.request(method, route).status_code == 401
            assert admin.request(method, route, headers={"authorization": "Bearer t0ken"}).status_code != 401
