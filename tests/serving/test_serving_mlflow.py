"""The registry's reader against a real MLflow server on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.bundle.reader import read_bundle
from serving.registry.reader import RestRegistry
from tests.mlflow_server import QUIET, mlflow_server


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_promoted_version_is_found_and_fetched(
    subprocess_environment: dict[str, str], make_bundle: Any, tmp_path: Path, new_store: Callable[[Path], str]
) -> None:
    name, environment = "digits of mine", subprocess_environment | QUIET
    with mlflow_server(tmp_path / "server", environment=environment, new_store=new_store) as uri:
        registry = RestRegistry(uri)
        assert registry.resolve(name, "champion") is None
        promoter = Path(__file__).with_name("promoter.py")
        promoted = subprocess.run(
            [sys.executable, promoter, uri, name, "passed", make_bundle()],
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
