"""Promotion, the call and the swap, against a real MLflow server and the endpoint with the overlay's own settings."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.pods import config_maps, environment, pod_templates
from tests.deploy.rendered import REPOSITORY, one, overlay
from tests.kind import waiting
from tests.kind.pins import RECIPE
from tests.kind.registry import registry
from tests.kind.shell import StepFailed
from tests.kind.swap import swap_champions
from tests.mlflow_server import mlflow_server
from tests.serving.conftest import write_bundle


@contextmanager
def _endpoint(tracking_uri: str, surroundings: dict[str, str]) -> Iterator[str]:
    """The server as its pod starts it, but for the addresses."""
    documents = overlay("kind")
    (pod,) = pod_templates([one(documents, "Deployment", "ganvas-serving")])
    told = environment(pod.containers[0], config_maps(documents)) | {
        "MLFLOW_TRACKING_URI": tracking_uri,
        "GANVAS_SERVE_HOST": "127.0.0.1",
        "GANVAS_SERVE_PORT": "0",
        "GANVAS_SERVE_GRPC_PORT": "0",
        "GANVAS_SERVE_POLL_SECONDS": "0.2",
    }
    command = [sys.executable, "-m", "serving"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=surroundings | told) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://[0-9.:]+", server.stdout.readline())
            assert found, "it did not start"
            yield found[0]
        finally:
            server.terminate()


@pytest.mark.timeout(400)
def test_the_endpoint_follows_the_champion(
    subprocess_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "INTERVAL_SECONDS", 0.1)
    (tmp_path / "mlflow.env").write_text("MLFLOW_TRACKING_USERNAME=ganvas\nMLFLOW_TRACKING_PASSWORD=any\n")
    promoter = REPOSITORY / "tests" / "serving" / "promoter.py"
    bundle = write_bundle(tmp_path / "bundle")
    with (
        mlflow_server(tmp_path / "mlflow") as uri,
        _endpoint(uri, subprocess_environment) as serving,
        registry(uri, tmp_path) as models,
    ):
        with pytest.raises(StepFailed, match="registered no version"):
            swap_champions(models, serving)
        subprocess.run(
            [sys.executable, promoter, uri, RECIPE, "failed", bundle], check=True, env=subprocess_environment
        )
        assert swap_champions(models, serving) == ("1", "2")
