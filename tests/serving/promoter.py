"""Registers bundles as the pipeline does: ``promoter.py URI NAME VERDICT BUNDLE`` prints the version.

In a process of its own because a store needs mlflow's global tracking URI. More lines ``VERDICT BUNDLE`` on
standard input promote more; ``alias VERSION`` moves the alias only, as a person does. Artifacts lie where
``PROMOTER_ARTIFACTS`` says, else where the store puts them.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow import MlflowClient


def promote(client: MlflowClient, experiment: str, name: str, verdict: str, bundle: Path) -> str:
    logged = client.create_logged_model(experiment, name=name.replace(" ", "-"))
    with tempfile.TemporaryDirectory() as directory:
        shutil.copytree(bundle, Path(directory) / "bundle")
        (Path(directory) / "MLmodel").write_text("flavors: {}\n")
        client.log_model_artifacts(logged.model_id, directory)
    client.finalize_logged_model(logged.model_id, "READY")
    version = client.create_model_version(
        name,
        source=f"models:/{logged.model_id}",
        model_id=logged.model_id,
        tags={"ganvas.verdict": verdict},
    )
    client.set_registered_model_alias(name, "champion", str(version.version))
    return str(version.version)


def main(uri: str, name: str, verdict: str, bundle: str) -> None:
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    artifacts = os.environ.get("PROMOTER_ARTIFACTS")
    if artifacts is None and uri.startswith("sqlite:///"):
        artifacts = (Path(uri.removeprefix("sqlite:///")).parent / "artifacts").as_uri()
    experiment = client.create_experiment(f"ganvas/{name}", artifact_location=artifacts)
    client.create_registered_model(name)
    print(promote(client, experiment, name, verdict, Path(bundle)), flush=True)
    for line in sys.stdin:
        first, second = line.rstrip("\n").split(" ", 1)
        if first == "alias":
            client.set_registered_model_alias(name, "champion", second)
            print(second, flush=True)
        else:
            print(promote(client, experiment, name, first, Path(second)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
