"""The registry's reader against an MLflow server's answers, as they were recorded from one.

With ``GANVAS_TEST_MLFLOW_URI`` the same is asked of a real server (`mlflow server --host 127.0.0.1`).
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from serving.bundle import read_bundle
from serving.errors import BundleError, RegistryError
from serving.registry import RestRegistry, StoreRegistry, open_registry

PROMOTER = Path(__file__).with_name("promoter.py")


class Server(ThreadingHTTPServer):
    """Answers as MLflow 3.17 does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bundle = Path()
        self.artifact_uri = "mlflow-artifacts:/2/models/m-1/artifacts"
        self.status = 200
        self.authorizations: list[str | None] = []

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.server.authorizations.append(self.headers.get("authorization"))
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        artifacts = "/api/2.0/mlflow-artifacts/artifacts/2/models/m-1/artifacts/bundle/"
        if self.server.status != 200:
            self.answer(self.server.status, b"no")
        elif path == "/api/2.0/mlflow/registered-models/alias":
            self.answer(*self.alias(query["name"][0], query["alias"][0]))
        elif path == "/api/2.0/mlflow/model-versions/get-download-uri":
            self.answer(200, json.dumps({"artifact_uri": self.server.artifact_uri}).encode())
        elif path.startswith(artifacts) and (self.server.bundle / path.removeprefix(artifacts)).is_file():
            self.answer(200, (self.server.bundle / path.removeprefix(artifacts)).read_bytes())
        else:
            self.answer(404, b'{"error_code":"RESOURCE_DOES_NOT_EXIST"}')

    def alias(self, name: str, alias: str) -> tuple[int, bytes]:
        if name != "digits of mine":
            message = f"Registered Model with name={name} not found"
            return 404, json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}).encode()
        if alias != "champion":
            message = f"Registered model alias {alias} not found."
            return 400, json.dumps({"error_code": "INVALID_PARAMETER_VALUE", "message": message}).encode()
        version = {
            "name": name,
            "version": "3",
            "creation_timestamp": 1795390251628,
            "source": "models:/m-1",
            "status": "READY",
            "tags": [{"key": "ganvas.verdict", "value": "passed"}],
        }
        return 200, json.dumps({"model_version": version}).encode()


@pytest.fixture
def server(make_bundle: Any) -> Iterator[Server]:
    with Server() as found:
        found.bundle = make_bundle()
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def test_an_alias_is_resolved_and_its_bundle_fetched(server: Server, tmp_path: Path) -> None:
    registry = RestRegistry(server.uri + "/")
    version = registry.resolve("digits of mine", "champion")
    assert version is not None
    assert (version.version, version.verdict, version.created) == ("3", "passed", 1795390251628)
    registry.download(version, tmp_path)
    assert read_bundle(tmp_path).signature.lineage.recipe == "tiny"
    assert {path.name for path in tmp_path.iterdir()} == {"signature.json", "generator.onnx", "golden.npy"}


def test_what_is_not_there_yet_is_no_error(server: Server) -> None:
    registry = RestRegistry(server.uri)
    assert registry.resolve("digits of mine", "challenger") is None
    assert registry.resolve("unknown", "champion") is None


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_artifacts_on_this_machine_are_copied(server: Server, tmp_path: Path, scheme: str) -> None:
    server.artifact_uri = f"{scheme}{server.bundle.parent}"
    registry = RestRegistry(server.uri)
    version = registry.resolve("digits of mine", "champion")
    assert version is not None
    registry.download(version, tmp_path)
    read_bundle(tmp_path)


@pytest.mark.parametrize(
    ("artifact_uri", "words"),
    [
        ("s3://bucket/models", "s3://"),
        ("/no/such/place", "cannot be read"),
        ("mlflow-artifacts:/elsewhere", "has no bundle/signature.json"),
    ],
)
def test_artifacts_out_of_reach_are_one_clear_error(
    server: Server, tmp_path: Path, artifact_uri: str, words: str
) -> None:
    server.artifact_uri = artifact_uri
    registry = RestRegistry(server.uri)
    version = registry.resolve("digits of mine", "champion")
    assert version is not None
    with pytest.raises(RegistryError, match=words):
        registry.download(version, tmp_path)


def test_a_signature_cannot_name_a_file_elsewhere(server: Server, tmp_path: Path) -> None:
    document = json.loads((server.bundle / "signature.json").read_text())
    document["graphs"]["generator"]["file"] = "../../../../secret.onnx"
    server.bundle = tmp_path / "evil"
    server.bundle.mkdir()
    (server.bundle / "signature.json").write_text(json.dumps(document))
    registry = RestRegistry(server.uri)
    version = registry.resolve("digits of mine", "champion")
    assert version is not None
    with pytest.raises(BundleError, match="file"):
        registry.download(version, tmp_path)


def test_a_file_larger_than_signed_is_not_taken(server: Server, tmp_path: Path) -> None:
    document = json.loads((server.bundle / "signature.json").read_text())
    document["graphs"]["generator"]["size_bytes"] = 10
    content = (server.bundle / "generator.onnx").read_bytes()
    server.bundle = tmp_path / "large"
    server.bundle.mkdir()
    (server.bundle / "signature.json").write_text(json.dumps(document))
    (server.bundle / "generator.onnx").write_bytes(content)
    registry = RestRegistry(server.uri)
    version = registry.resolve("digits of mine", "champion")
    assert version is not None
    with pytest.raises(RegistryError, match="larger than"):
        registry.download(version, tmp_path)


@pytest.mark.parametrize(("status", "words"), [(500, "500"), (401, "MLFLOW_TRACKING_USERNAME"), (403, "allowed-hosts")])
def test_a_server_that_refuses_is_an_error(server: Server, status: int, words: str) -> None:
    server.status = status
    with pytest.raises(RegistryError, match=words):
        RestRegistry(server.uri).resolve("digits of mine", "champion")


def test_a_server_that_is_away_is_an_error(server: Server) -> None:
    with pytest.raises(RegistryError, match="cannot be reached"):
        RestRegistry("http://127.0.0.1:1").resolve("m", "champion")


def test_credentials_are_mlflows_own(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = RestRegistry(server.uri)
    registry.resolve("m", "champion")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "u")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p")
    registry.resolve("m", "champion")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    registry.resolve("m", "champion")
    assert server.authorizations == [None, "Basic dTpw", "Bearer t"]


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    registry = open_registry(f"sqlite:///{path}")
    assert isinstance(registry, StoreRegistry)
    assert registry.resolve("m", "champion") is None
    assert not path.exists()
    sqlite3.connect(path).close()  # another process has only begun to make it
    assert registry.resolve("m", "champion") is None
    assert path.stat().st_size == 0
    path.write_bytes(b"this is no database " * 100)
    with pytest.raises(RegistryError, match="not a database"):
        registry.resolve("m", "champion")


@pytest.mark.skipif("GANVAS_TEST_MLFLOW_URI" not in os.environ, reason="needs a running MLflow server")
def test_a_real_server_answers_like_that(make_bundle: Any, tmp_path: Path) -> None:
    uri = os.environ["GANVAS_TEST_MLFLOW_URI"]
    name = f"model {uuid.uuid4().hex[:8]}"
    registry = RestRegistry(uri)
    assert registry.resolve(name, "champion") is None
    promoted = subprocess.run(
        [sys.executable, PROMOTER, uri, name, "passed", make_bundle()],
        capture_output=True,
        text=True,
        check=True,
    )
    assert registry.resolve(name, "challenger") is None
    version = registry.resolve(name, "champion")
    assert version is not None
    assert (version.version, version.verdict) == (promoted.stdout.split()[-1], "passed")
    registry.download(version, tmp_path)
    read_bundle(tmp_path)
