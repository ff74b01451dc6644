"""The registry's reader against an MLflow server's answers, as they were recorded from one."""

from __future__ import annotations

import base64
import json
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from serving.bundle.reader import read_bundle
from serving.errors import BundleError, RegistryError
from serving.registry.open import open_sources
from serving.registry.reader import RestRegistry, StoreRegistry, open_registry
from serving.registry.source import Source
from serving.registry.version import RegisteredVersion
from serving.settings import read_settings


class Server(ThreadingHTTPServer):
    """Answers as MLflow 3.17 does."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bundle = Path()
        self.artifact_uri = "mlflow-artifacts:/2/models/m-1/artifacts"
        self.status = 200
        self.location = ""
        self.pause_seconds = 0.0
        self.promised_bytes = 0
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
        self.send_header("content-length", str(max(len(body), self.server.promised_bytes)))
        if self.server.location:
            self.send_header("location", self.server.location + self.path)
        self.end_headers()
        if not self.server.pause_seconds:
            self.wfile.write(body)
            return
        with suppress(OSError):  # the client has had enough
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(self.server.pause_seconds)

    def do_GET(self) -> None:
        self.server.authorizations.append(self.headers.get("authorization"))
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        artifacts = "/api/2.0/mlflow-artifacts/artifacts/2/models/m-1/artifacts/bundle/"
        if self.server.status != 200:
            self.answer(self.server.status, b"no")
        elif path == "/api/2.0/mlflow/registered-models/alias":
            self.answer(*self.alias(query["name"][0], query["alias"][0]))
        elif path == "/api/2.0/mlflow/model-versions/get" and query["version"] == ["3"]:
            self.answer(*self.alias(query["name"][0], "champion"))
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


@contextmanager
def listening(bundle: Path) -> Iterator[Server]:
    with Server() as found:
        found.bundle = bundle
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def server(make_bundle: Any) -> Iterator[Server]:
    with listening(make_bundle()) as found:
        yield found


@pytest.fixture
def stranger(make_bundle: Any) -> Iterator[Server]:
    """Another server on this machine."""
    with listening(make_bundle()) as found:
        yield found


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


def test_the_settings_say_which_source_a_model_has(server: Server, tmp_path: Path) -> None:
    def opened(model: str, **more: Any) -> tuple[Source, dict[str, Source]]:
        sources, canaries = open_sources(read_settings(models=(model,), tracking_uri=server.uri, **more))
        (source,) = sources.values()
        return source, canaries

    for model, more in [
        ("digits of mine", {}),
        ("digits of mine", {"alias": "champion", "canary_share": 0.1}),
        ("digits of mine@champion", {"alias": "other", "canary_share": 0.1, "canary_alias": "other"}),
        ("digits of mine/3", {}),
    ]:
        source, canaries = opened(model, **more)
        found = source.resolve()
        assert found is not None
        assert (found.name, found.version) == ("digits of mine", "3")
        assert source.fetch(found).signature.lineage.recipe == "tiny"
        assert list(canaries) == (["digits of mine"] if more else [])
        assert all(canary.resolve() is None for canary in canaries.values())
    for model, words in [("digits of mine@other", "alias 'other'"), ("digits of mine/4", "no version 4")]:
        source, canaries = opened(model)
        assert (source.resolve(), canaries) == (None, {})
        assert words in source.absent
    source, canaries = opened(f"d={server.bundle}")
    found = source.resolve()
    assert found is not None
    assert (len(found.version), found.verdict) == (12, "missing")
    source, _ = opened("d=s3://bucket/prefix")
    assert source.absent == "there is no signature.json at s3://bucket/prefix"


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
        ("gs://bucket/models", "gs://"),
        ("s3://a@b/models", "names no bucket"),
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


ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/2/models/m-1/artifacts"


def champion(registry: RestRegistry) -> RegisteredVersion:
    found = registry.resolve("digits of mine", "champion")
    assert found is not None
    return found


def test_credentials_go_to_the_registry_and_to_nobody_else(
    server: Server, stranger: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    registry = RestRegistry(server.uri)
    for number, host in enumerate((server, stranger)):
        server.artifact_uri = host.uri + ARTIFACTS
        (tmp_path / str(number)).mkdir()
        registry.download(champion(registry), tmp_path / str(number))
        read_bundle(tmp_path / str(number))
    assert server.authorizations == ["Bearer t"] * len(server.authorizations)
    assert stranger.authorizations == [None] * 3


def test_a_redirect_is_not_followed(server: Server, stranger: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
    server.status, server.location = 302, stranger.uri
    with pytest.raises(RegistryError, match=r"302.*name the address"):
        RestRegistry(server.uri).resolve("digits of mine", "champion")
    assert stranger.authorizations == []


def test_credentials_in_the_uri_are_used_and_never_shown(server: Server) -> None:
    registry = RestRegistry(server.uri.replace("//", "//u:p%40ss@"))
    champion(registry)
    assert server.authorizations == ["Basic " + base64.b64encode(b"u:p@ss").decode()]
    server.status = 500
    with pytest.raises(RegistryError) as caught:
        champion(registry)
    assert "p%40ss" not in str(caught.value)
    with pytest.raises(RegistryError) as caught:
        open_registry("http://u:s3cret@127.0.0.1:1").resolve("m", "champion")
    assert "s3cret" not in str(caught.value)


def test_a_stores_password_is_not_shown_and_a_wrong_uri_is_no_missing_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "postgresql://u:s3cret@127.0.0.1:1/db"

    class Refusal(Exception):
        error_code = "INVALID_PARAMETER_VALUE"

    def refuse(_: StoreRegistry) -> None:
        raise Refusal(f"got unsupported URI '{uri}'")

    monkeypatch.setattr(StoreRegistry, "_open", refuse)  # as mlflow does, without 10 s of importing it
    with pytest.raises(RegistryError, match="unsupported URI") as caught:
        open_registry(uri).resolve("m", "champion")
    assert "s3cret" not in str(caught.value)


def test_a_download_that_only_trickles_ends_at_its_deadline(server: Server, tmp_path: Path) -> None:
    registry = RestRegistry(server.uri, download_seconds=0.3)
    version = champion(registry)
    server.artifact_uri, server.pause_seconds = server.uri + ARTIFACTS, 0.01
    started = time.monotonic()
    with pytest.raises(RegistryError, match="too slow"):
        registry.download(version, tmp_path)
    assert time.monotonic() - started < 5


def test_a_download_ends_when_the_server_stops(server: Server, tmp_path: Path) -> None:
    registry = RestRegistry(server.uri)
    version = champion(registry)
    server.pause_seconds = 0.01
    closing = threading.Timer(0.2, registry.close)
    closing.start()
    with pytest.raises(RegistryError, match="shutting down"):
        registry.download(version, tmp_path)
    closing.join()


def test_an_answer_that_breaks_off_is_named(server: Server, tmp_path: Path) -> None:
    registry = RestRegistry(server.uri)
    version = champion(registry)
    server.promised_bytes = 10**6
    with pytest.raises(RegistryError, match="broke off"):
        registry.download(version, tmp_path)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    registry = open_registry(f"sqlite:///{path}")
    assert isinstance(registry, StoreRegistry)
    assert registry.resolve("m", "champion") is None
    assert registry.find("m", "1") is None
    assert not path.exists()
    sqlite3.connect(path).close()  # another process has only begun to make it
    assert registry.resolve("m", "champion") is None
    assert registry.find("m", "1") is None
    assert path.stat().st_size == 0
    path.write_bytes(b"this is no database " * 100)
    with pytest.raises(RegistryError, match="not a database"):
        registry.resolve("m", "champion")


def test_a_store_without_mlflow_says_so_whatever_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as where it is not installed
    store = StoreRegistry("postgresql://127.0.0.1/x")
    version = RegisteredVersion("m", "1", 1, "passed")
    for ask in (
        lambda: store.resolve("m", "champion"),
        lambda: store.find("m", "1"),
        lambda: store.download(version, tmp_path),
    ):
        with pytest.raises(RegistryError, match=r"^postgresql://127.0.0.1/x needs mlflow.*Name an MLflow server"):
            ask()
