"""Where the store is."""

from __future__ import annotations

import os
from pathlib import Path

from components.environment import MLFLOW_URL, TRACKING_URI

DEFAULT_ROOT = "runs"


def tracking_uri() -> str:
    """The store: ``MLFLOW_TRACKING_URI``, or a SQLite file under ``./runs``."""
    configured = os.environ.get(TRACKING_URI, "")
    if configured:
        return configured
    return sqlite_uri(Path(DEFAULT_ROOT))


def sqlite_uri(directory: Path) -> str:
    """The store in a file of a directory."""
    return f"sqlite:///{directory.resolve() / 'mlflow.db'}"


def vanishes_with_pod() -> bool:
    """Whether this is a task on a cluster that no store is named to: a file would lie on the pod's own disk.

    Promotion then keeps its store among the run's artifacts. Nobody serves from there.
    """
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and not os.environ.get(TRACKING_URI)


def is_server(uri: str) -> bool:
    """Whether the store is a tracking server, where others can watch a run while it goes on."""
    return uri.startswith(("http://", "https://"))


def is_absent(uri: str) -> bool:
    """Whether the store is a SQLite file that nobody has made yet: then it holds nothing, and need not be asked."""
    return uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists()


def run_page(uri: str, experiment_id: str, run_id: str) -> str:
    """The page of a run in MLflow's UI, as people reach it; empty where the store is no server.

    A server's name within a cluster leads nobody there from outside: ``GANVAS_MLFLOW_URL`` says what does.
    """
    if not is_server(uri):
        return ""
    pages = os.environ.get(MLFLOW_URL) or uri
    return f"{pages.rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"
