"""A store that is spoken to, and what it refuses in one line."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from components.tracking.place import is_server, tracking_uri
from models.errors import GanvasError, TrackingError

if TYPE_CHECKING:
    from mlflow import MlflowClient

HTTP_STATUS = re.compile(r"error code (\d{3})")
UNREACHED = "Max retries exceeded"
HOST_CHECK = "Invalid Host header"


class Connection:
    """One MLflow store.

    Raises:
        TrackingError: if mlflow cannot open it; from every method, if it does not answer or refuses.
    """

    def __init__(self, uri: str | None = None) -> None:
        self.uri = uri or tracking_uri()
        with self._explained():
            self.client = self._connect()

    def _connect(self) -> MlflowClient:
        if self.uri.startswith("sqlite:///"):
            Path(self.uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
        if is_server(self.uri):
            # A person waits here: fail in seconds, with a reason, instead of after minutes of retries.
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
            os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        import mlflow

        # It says at length what is no news here (each migration of a fresh store, a missing pip).
        for chatty in ("mlflow", "alembic"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        return mlflow.MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever the store refuses becomes one line that names it."""
        try:
            yield
        except GanvasError:
            raise
        except Exception as error:  # mlflow, its HTTP client and its database raise unrelated kinds
            said = (str(error).strip() or type(error).__name__).replace(self.uri, without_password(self.uri))
            raise _explanation(without_password(self.uri), said) from error


def without_password(uri: str) -> str:
    """A store's address as it may be shown."""
    parts = urlsplit(uri)
    if not parts.password:
        return uri
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{parts.netloc.rpartition('@')[2]}"))


def _explanation(uri: str, said: str) -> TrackingError:
    status = HTTP_STATUS.search(said)
    if HOST_CHECK in said:
        return TrackingError(
            f"MLflow at {uri} answers other host names only.",
            "Start its server with --allowed-hosts that match this name and port, such as 'mlflow:*'.",
        )
    if status and status[1] in ("401", "403"):
        refused = (
            "does not know this user and password" if status[1] == "401" else "does not allow this user to do that"
        )
        return TrackingError(
            f"MLflow at {uri} {refused} ({status[1]}).",
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; on a cluster by --mlflow-secret.",
        )
    if UNREACHED in said:
        return TrackingError(
            f"No MLflow server answers at {uri}.",
            "Check MLFLOW_TRACKING_URI and that the server runs; without it a SQLite store under ./runs is used.",
        )
    return TrackingError(
        f"MLflow at {uri} does not answer as it should: {said.splitlines()[0][:200]}",
        "Check MLFLOW_TRACKING_URI and that the server runs; without it a SQLite store under ./runs is used.",
    )
