"""The cluster and its images."""

from __future__ import annotations

from pathlib import Path

from tests.kind.pins import CLUSTER, NODE_IMAGE, PIPELINE_IMAGE, SERVING_IMAGE
from tests.kind.shell import StepFailed, run, say

MINUTE = 60.0
REPOSITORY = Path(__file__).resolve().parents[2]


def build_images() -> None:
    """Both targets of the Dockerfile, under tags that are not ``latest``: that one would be pulled."""
    revision = run(["git", "-C", REPOSITORY, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], 30)
    for target, image in (("pipeline", PIPELINE_IMAGE), ("serving", SERVING_IMAGE)):
        about = ["--target", target, "--tag", image, "--build-arg", f"CODE_REVISION={revision.strip()}"]
        run(["docker", "build", *about, REPOSITORY], 40 * MINUTE)


def make_cluster(kubeconfig: Path) -> None:
    """One node; its kubeconfig is a file of this run, nobody's own is touched."""
    about = ["--name", CLUSTER, "--image", NODE_IMAGE, "--kubeconfig", str(kubeconfig), "--wait", "180s"]
    run(["kind", "create", "cluster", *about], 10 * MINUTE)


def load_images() -> None:
    """Onto the node, which pulls neither."""
    run(["kind", "load", "docker-image", PIPELINE_IMAGE, SERVING_IMAGE, "--name", CLUSTER], 20 * MINUTE)


def delete_cluster(kubeconfig: Path) -> None:
    """Whatever state it is in; what fails here is said and hides no other failure."""
    try:
        run(["kind", "delete", "cluster", "--name", CLUSTER, "--kubeconfig", kubeconfig], 5 * MINUTE)
    except StepFailed as failure:
        say(f"The cluster could not be deleted: {failure.message}")
