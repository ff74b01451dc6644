"""``python -m tests.kind``: from nothing to a swapped model. Exit code 2 where the machine lacks something, else 1.

The cluster is deleted at the end, or kept by ``--keep``. After a failure its logs lie under ``runs/kind-<time>/``.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from models.errors import GanvasError
from tests.kind import cluster, install, pipeline_run
from tests.kind.chaos import Training
from tests.kind.checkpoints import Checkpoints
from tests.kind.cluster import REPOSITORY
from tests.kind.forward import forwarded
from tests.kind.kubectl import Kubectl
from tests.kind.logs import collect
from tests.kind.pins import MLFLOW, PIPELINES_UI, SERVING, STORAGE
from tests.kind.preconditions import require_tools
from tests.kind.registry import registry
from tests.kind.shell import say
from tests.kind.swap import swap_champions


def train_with_a_loss(kubectl: Kubectl, secrets: Path) -> None:
    """Submit, kill a node once there is a checkpoint, wait for the end."""
    with forwarded(kubectl, PIPELINES_UI) as host, forwarded(kubectl, STORAGE) as storage:
        run_id = pipeline_run.submit(host)
        say(f"Run {run_id}")
        Training(kubectl, host, run_id).lose_a_node(Checkpoints(storage, secrets).missing)
        pipeline_run.watch_to_the_end(host, run_id)


def promote_and_swap(kubectl: Kubectl, secrets: Path) -> None:
    """What a person does in MLflow, and what the endpoint makes of it."""
    with (
        forwarded(kubectl, MLFLOW) as mlflow,
        forwarded(kubectl, SERVING) as serving,
        registry(mlflow, secrets) as models,
    ):
        swap_champions(models, serving)


def steps(kubectl: Kubectl, directory: Path) -> list[tuple[str, Callable[[], None]]]:
    """What is done, in order."""
    return [
        ("build the images", cluster.build_images),
        ("make the cluster", partial(cluster.make_cluster, kubectl.kubeconfig)),
        ("load the images", cluster.load_images),
        ("install Kubeflow Pipelines", partial(install.install_pipelines, kubectl)),
        ("install Kubeflow Trainer", partial(install.install_trainer, kubectl)),
        ("install what is ours", partial(install.install_ours, kubectl, directory)),
        ("wait for all of it", partial(install.wait_for_all, kubectl)),
        ("train on two nodes and lose one", partial(train_with_a_loss, kubectl, directory / "secrets")),
        ("promote, call, swap", partial(promote_and_swap, kubectl, directory / "secrets")),
    ]


def main() -> int:
    """Run the test; the exit code."""
    parser = argparse.ArgumentParser(prog="make kind-test", description="The whole pipeline on a cluster in Docker.")
    parser.add_argument("--keep", action="store_true", help="leave the cluster as it is at the end")
    keep: bool = parser.parse_args().keep
    try:
        require_tools()
    except GanvasError as error:
        print(f"kind-test: {error}", file=sys.stderr)
        return error.exit_code
    directory = REPOSITORY / "runs" / time.strftime("kind-%Y%m%d-%H%M%S")
    directory.mkdir(parents=True)
    kubectl = Kubectl(directory / "kubeconfig")
    name = "the plan"
    try:
        for name, step in steps(kubectl, directory):
            say(name)
            step()
    except Exception as error:  # whatever it is, the logs are worth more than the cluster
        if not isinstance(error, GanvasError):
            traceback.print_exc()
        print(f"kind-test: {name}: {error}", file=sys.stderr)
        collect(kubectl, directory / "logs")
        print(f"kind-test: logs are under {directory / 'logs'}", file=sys.stderr)
        return 1
    finally:
        if not keep:
            cluster.delete_cluster(kubectl.kubeconfig)
    say("All of it holds.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
