"""The scripts that the kind overlay runs do what they are for."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.components.storage.server import client, running_s3
from tests.deploy.pods import pod_templates
from tests.deploy.rendered import DEPLOY, OVERLAYS, Document, one, overlay

SCRIPT = DEPLOY / "overlays" / "kind" / "storage" / "make_buckets.py"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


def _maker() -> Document:
    (pod,) = pod_templates([one(overlay("kind"), "StatefulSet", "s3")])
    (container,) = [container for container in pod.containers if container["name"] == "buckets"]
    return container


@contextmanager
def _made(environment: dict[str, str], ready: Path, buckets: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The script while it stays."""
    with subprocess.Popen([sys.executable, SCRIPT, ready, *buckets], env=environment) as process:
        try:
            deadline = time.monotonic() + 120
            while not ready.exists() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


def test_the_buckets_are_made_and_stay(subprocess_environment: dict[str, str], tmp_path: Path) -> None:
    program, script, ready, *buckets = _maker()["command"]
    assert (program, Path(script).name) == ("python", SCRIPT.name)
    assert _maker()["readinessProbe"]["exec"]["command"] == ["test", "-e", ready]
    with running_s3() as server:
        address = {"AWS_ENDPOINT_URL": server, "AWS_REGION": "us-east-1"}
        for attempt in range(2):
            file = tmp_path / str(attempt)
            with _made(subprocess_environment | KEYS | address, file, buckets) as process:
                assert file.exists(), "it says when it is done"
                assert process.poll() is None, "a container that ends is started again"
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=60) == 0
        assert {bucket["Name"] for bucket in client(server).list_buckets()["Buckets"]} >= {"ganvas", "mlflow"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_whatever_is_applied_can_be_applied_again_when_it_changed(name: str) -> None:
    kinds = {document["kind"] for document in overlay(name)}
    assert not kinds & {"Job", "Pod"}, "their templates cannot be changed in place"


def test_it_waits_for_a_server_and_tells_why_it_gives_up() -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("make_buckets", SCRIPT)
    assert spec is not None and spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    nobody = boto3.client(
        "s3",
        endpoint_url="http://127.0.0.1:9",
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        config=module.boto3.session.Config(retries={"max_attempts": 0}),
    )
    with pytest.raises(Exception, match="Could not connect"):
        module.make_bucket(nobody, "ganvas", 0.0)


def test_the_server_s_file_of_keys_is_what_the_secret_says(tmp_path: Path) -> None:
    (pod,) = pod_templates([one(overlay("kind"), "StatefulSet", "s3")])
    shell, flags, script = pod.spec["initContainers"][0]["command"]
    local = script.replace("/keys/", f"{tmp_path}/")
    subprocess.run([shell, flags, local], env=KEYS, check=True, timeout=30)
    (identity,) = json.loads((tmp_path / "s3.json").read_text())["identities"]
    assert identity["credentials"] == [{"accessKey": "key", "secretKey": "secret"}]
    assert "Admin" in identity["actions"]


def test_without_a_key_no_file_is_left(tmp_path: Path) -> None:
    (pod,) = pod_templates([one(overlay("kind"), "StatefulSet", "s3")])
    shell, flags, script = pod.spec["initContainers"][0]["command"]
    done = subprocess.run([shell, flags, script.replace("/keys/", f"{tmp_path}/")], env={}, check=False, timeout=30)
    assert done.returncode != 0
    assert not (tmp_path / "s3.json").exists() or not (tmp_path / "s3.json").read_text()
