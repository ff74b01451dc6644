"""A run of the graph, submitted as a person does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import httpx

from tests.kind.cluster import MINUTE
from tests.kind.kubectl import without_proxies
from tests.kind.pins import PIPELINE_IMAGE, RECIPE
from tests.kind.shell import Hopeless, StepFailed, run

GANVAS = Path(sys.executable).with_name("ganvas")
NODES = 2
ENDED = {"SUCCEEDED", "FAILED", "CANCELED", "SKIPPED"}
GATE_FAILED = 3
"""The exit code of ``ganvas`` where the gate said no."""
RECIPE_CHANGES = (
    f"resources.nodes={NODES}",
    "resources.processes_per_node=1",
    # A node is lost after the first checkpoint, long before the end: minutes on the shares of a core that they get.
    "training.images_seen=36000",
    "training.checkpoint_every_images=4000",
)
SURROUNDINGS = {
    "tracking-uri": "http://mlflow.mlflow:5000",
    "mlflow-secret": "ganvas-mlflow",
    "checkpoint-uri": "s3://ganvas/checkpoints",
    "s3-endpoint": "http://s3.ganvas-storage:8333",
    "s3-region": "us-east-1",
    "s3-secret": "ganvas-s3",
    # Two nodes of a laptop's cluster beside everything else.
    "training-cpus": "500m",
    "training-memory": "3Gi",
}


def submit_command(host: str) -> list[str]:
    """``ganvas submit``: the smoke recipe on two nodes, in the image that was loaded onto the cluster's node."""
    changes = [part for change in RECIPE_CHANGES for part in ("--set", change)]
    around = [f"--{name}={value}" for name, value in SURROUNDINGS.items()]
    given = [f"--host={host}", f"--image={PIPELINE_IMAGE}", "--allow-mutable-image", "--json"]
    return [str(GANVAS), "submit", RECIPE, *given, *changes, *around]


def submit(host: str) -> str:
    """Submit; the run's id. Raises StepFailed."""
    told = json.loads(run(submit_command(host), 5 * MINUTE, without_proxies()))
    return str(told["run_id"])


def state_of(host: str, run_id: str) -> str:
    """How a run is, by the API that the UI asks: ``PENDING``, ``RUNNING``, ``SUCCEEDED``, ``FAILED``, ...

    Raises:
        StepFailed: if the API does not answer.
    """
    try:
        answer = httpx.get(f"{host}/apis/v2beta1/runs/{run_id}", timeout=30, trust_env=False).raise_for_status()
        return str(answer.json().get("state") or "PENDING")
    except (httpx.HTTPError, ValueError) as error:
        raise StepFailed(f"Kubeflow Pipelines does not answer: {error}") from error


def require_running(host: str, run_id: str) -> None:
    """Say so at once where a run is over before what is waited for.

    Raises:
        Hopeless: if it has ended.
        StepFailed: if the API does not answer.
    """
    state = state_of(host, run_id)
    if state in ENDED:
        raise Hopeless(f"The run {run_id} ended as {state} too early.", "Its steps' logs say why.")


def watch_to_the_end(host: str, run_id: str) -> None:
    """Follow a run. That the gate refuses what the smoke recipe made is a sound end: its version is registered.

    Raises:
        StepFailed: if any other step failed.
    """
    run(
        [GANVAS, "watch", run_id, f"--host={host}", "--json"], 60 * MINUTE, without_proxies(), accepted=(0, GATE_FAILED)
    )
