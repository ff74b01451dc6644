"""An MLflow server as an origin: its credentials, which nobody else gets, and its ways to say no."""

from __future__ import annotations

import base64
import os
import urllib.error
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from serving.errors import RegistryError
from serving.registry.fetch import Absent, Origin, redirect_remedy, without_credentials

_PORTS = {"http": 80, "https": 443}


class MlflowServer(Origin):
    """A server by its URI, and what it hands out; it and nobody else gets the credentials.

    Args:
        uri: ``http(s)://[USER:PASSWORD@]HOST[:PORT][/PATH]``.
    """

    what_to_check = "Check tracking_uri."

    def __init__(self, uri: str) -> None:
        super().__init__()
        self.uri = without_credentials(uri).rstrip("/")
        self._pair = unquote(urlsplit(uri).netloc.rpartition("@")[0])

    def _authorization(self, method: str, url: str) -> Mapping[str, str]:
        """MLflow's own variables, read at each call: a mounted secret may change."""
        if _origin(url) != _origin(self.uri):
            return {}  # an artifact's address is what a registry's writer chose
        if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            return {"Authorization": f"Bearer {token}"}
        pair = self._pair
        if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
            pair = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()} if pair else {}

    def _refusal(self, host: str, error: urllib.error.HTTPError, content: bytes) -> Exception:
        # An alias that is not there is a 400 in MLflow.
        if error.code == 404 or (error.code == 400 and b"alias" in content):
            return Absent()
        return RegistryError(f"{host} answered {error.code} {error.reason}.", _remedy(error.code))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _remedy(code: int) -> str:
    match code:
        case 401:
            return "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
        case 403:
            return "Let the MLflow server accept this host: --allowed-hosts."
        case _:
            return redirect_remedy(code)
