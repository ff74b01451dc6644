"""Real MLflow servers on loopback, each started once where it is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.components.storage.server import CREDENTIALS, client
from tests.mlflow_server import mlflow_server

USER, PASSWORD = "admin", "correct horse battery"


@dataclass(frozen=True)
class Served:
    """A server, and the bucket that its artifacts lie in."""

    uri: str
    bucket: str
    s3: Any

    def objects(self) -> list[str]:
        """Objects of the bucket."""
        return [entry["Key"] for entry in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]


@pytest.fixture(scope="module")
def proxied(
    s3_server: str, tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[Path], str]
) -> Iterator[Served]:
    """A server that wants a user and a password, and hands artifacts of a bucket through."""
    directory = tmp_path_factory.mktemp("proxied")
    (directory / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{directory}/auth.db\nadmin_username = {USER}\n"
        f"admin_password = {PASSWORD}\nauth_cache_ttl_seconds = 300\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    s3 = client(s3_server)
    s3.create_bucket(Bucket="through")
    told = {"MLFLOW_AUTH_CONFIG_PATH": str(directory / "auth.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "of the tests"}
    options = ["--app-name", "basic-auth", "--allowed-hosts", "127.0.0.1:*"]
    options += ["--artifacts-destination", "s3://through/mlflow"]
    environment = told | CREDENTIALS | {"AWS_ENDPOINT_URL": s3_server}
    server = mlflow_server(directory / "server", *options, environment=environment, new_store=new_store)
    with server as uri:
        yield Served(uri, "through", s3)


@pytest.fixture(scope="module")
def direct(
    s3_server: str, tmp_path_factory: pytest.TempPathFactory, new_store: Callable[[Path], str]
) -> Iterator[Served]:
    """A server for anyone, whose clients write artifacts into a bucket themselves."""
    s3 = client(s3_server)
    s3.create_bucket(Bucket="direct")
    options = ["--default-artifact-root", "s3://direct/mlflow", "--no-serve-artifacts"]
    with mlflow_server(tmp_path_factory.mktemp("direct") / "server", *options, new_store=new_store) as uri:
        yield Served(uri, "direct", s3)
