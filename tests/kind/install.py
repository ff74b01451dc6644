"""Kubeflow Pipelines, Kubeflow Trainer, and what is ours, in that order."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from deploy.secrets.write_secrets import write_secrets
from tests.kind.cluster import MINUTE, REPOSITORY
from tests.kind.kubectl import Kubectl
from tests.kind.pins import PIPELINES_CLUSTER, PIPELINES_PLATFORM, TRAINER_MANAGER
from tests.kind.readiness import all_available, crd_established, webhooks_trusted
from tests.kind.waiting import wait_until


def install_pipelines(kubectl: Kubectl) -> None:
    """Its own S3 and database come with it."""
    kubectl.run("apply", "-k", PIPELINES_CLUSTER, timeout_seconds=5 * MINUTE)
    for crd in ("applications.app.k8s.io", "workflows.argoproj.io"):
        wait_until(f"the definition {crd}", partial(crd_established, kubectl, crd), 2 * MINUTE)
    kubectl.run("apply", "-k", PIPELINES_PLATFORM, timeout_seconds=5 * MINUTE)


def install_trainer(kubectl: Kubectl) -> None:
    """Server-side: its definitions are larger than what an annotation holds."""
    kubectl.run("apply", "--server-side", "-k", TRAINER_MANAGER, timeout_seconds=5 * MINUTE)
    for crd in ("trainjobs", "trainingruntimes"):
        look = partial(crd_established, kubectl, f"{crd}.trainer.kubeflow.org")
        wait_until(f"the definition {crd}", look, 2 * MINUTE)
    wait_until("Kubeflow Trainer", partial(all_available, kubectl, "kubeflow-system"), 10 * MINUTE)
    # Its webhook says no to everything until it has written its own certificate's authority into its configuration.
    wait_until("the certificates of webhooks", partial(webhooks_trusted, kubectl), 5 * MINUTE)


def install_ours(kubectl: Kubectl, directory: Path) -> None:
    """The kind overlay, with secrets that are this run's own.

    Args:
        directory: of this run, where the secrets are written; nothing is left in deploy/.
    """
    secrets = directory / "secrets"
    shutil.copytree(REPOSITORY / "deploy" / "secrets", secrets, ignore=shutil.ignore_patterns("*.env", "*.py"))
    write_secrets(secrets)
    kubectl.run("apply", "--server-side", "-k", REPOSITORY / "deploy" / "overlays" / "kind")
    kubectl.run("apply", "-k", secrets)


def wait_for_all(kubectl: Kubectl) -> None:
    """Everything but the endpoint, which is ready only once it has a champion."""
    wait_until("S3 and its buckets", partial(all_available, kubectl, "ganvas-storage", "statefulsets"), 15 * MINUTE)
    wait_until("PostgreSQL", partial(all_available, kubectl, "mlflow", "statefulsets"), 10 * MINUTE)
    wait_until("MLflow", partial(all_available, kubectl, "mlflow"), 15 * MINUTE)
    wait_until("Kubeflow Pipelines", partial(all_available, kubectl, "kubeflow"), 20 * MINUTE)
