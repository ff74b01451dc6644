"""The registry's reader against a real MLflow server on loopback."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.bundle.reader import read_bundle
from serving.registry.reader import RestRegistry

START_SECONDS = 200.0  # it imports mlflow twice and makes a database


@pytest.fixture
def environment(subprocess_environment: dict[str, str]) -> dict[str, str]:
    return subprocess_environment | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


@pytest.fixture
def mlflow_server(tmp_path: Path, environment: dict[str, str]) -> Iterator[str]:
    """A server's URI; it hands artifacts out itself, and is ended by its process id."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    command += ["--artifacts-destination", f"{tmp_path}/artifacts"]
    log = tmp_path / "mlflow.log"
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment) as server,
    ):
        try:
            await_health(f"http://127.0.0.1:{port}", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()  # it ends its own worker


def await_health(uri: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(base_url=uri, trust_env=False) as client:
        while True:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                if client.get("/health").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)


@pytest.mark.timeout(400)
def test_a_promoted_version_is_found_and_fetched(
    mlflow_server: str, environment: dict[str, str], make_bundle: Any, tmp_path: Path
) -> None:
    name = "digits of mine"
    registry = RestRegistry(mlflow_server)
    assert registry.resolve(name, "champion") is None
    promoter = Path(__file__).with_name("promoter.py")
    promoted = subprocess.run(
        [sys.executable, promoter, mlflow_server, name, "passed", make_bundle()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=environment,
    )
    assert registry.resolve(name, "challenger") is None
    version = registry.resolve(name, "champion")
    assert version is not None
    assert (version.version, version.verdict) == (promoted.stdout.split()[-1], "passed")
    assert registry.find(name, version.version) == version, "by its number it is the same"
    assert registry.find(name, "99") is None
    assert registry.find("unknown", "1") is None
    (tmp_path / "bundle").mkdir()
    registry.download(version, tmp_path / "bundle")
    assert read_bundle(tmp_path / "bundle").signature.lineage.recipe == "tiny"
