"""A person in MLflow's registry: versions, and the alias that serving follows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.kind.pins import RECIPE
from tests.kind.secrets import values_of
from tests.kind.shell import StepFailed

_API = "/api/2.0/mlflow"
Document = dict[str, Any]


class Registry:
    """MLflow's REST API, with the administrator's name and password."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def versions(self, name: str = RECIPE) -> list[str]:
        """A model's versions, oldest first. Raises StepFailed."""
        found = self._get("model-versions/search", filter=f"name='{name}'").get("model_versions", [])
        return sorted((version["version"] for version in found), key=int)

    def registered_again(self, version: str, name: str = RECIPE) -> str:
        """The same artifacts as another version, whose number is returned. Raises StepFailed."""
        old = self._get("model-versions/get", name=name, version=version)["model_version"]
        document = {key: old[key] for key in ("name", "source", "run_id", "tags") if old.get(key)}
        # A logged model as the source is named twice, and the server does not tell it back.
        if str(old["source"]).startswith("models:/"):
            document["model_id"] = str(old["source"]).removeprefix("models:/")
        return str(self._post("model-versions/create", document)["model_version"]["version"])

    def point(self, version: str, alias: str = "champion", name: str = RECIPE) -> None:
        """Let an alias name a version. Raises StepFailed."""
        self._post("registered-models/alias", {"name": name, "alias": alias, "version": version})

    def _get(self, path: str, **query: str) -> Document:
        return self._answer(self._client.build_request("GET", f"{_API}/{path}", params=query))

    def _post(self, path: str, document: Document) -> Document:
        return self._answer(self._client.build_request("POST", f"{_API}/{path}", json=document))

    def _answer(self, request: httpx.Request) -> Document:
        try:
            answer = self._client.send(request)
            if answer.is_error:
                raise StepFailed(f"MLflow answered {answer.status_code} to {request.url.path}: {answer.text[:300]}")
            document: Document = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise StepFailed(f"MLflow does not answer {request.url.path}: {error}") from error
        return document


@contextmanager
def registry(address: str, secrets: Path) -> Iterator[Registry]:
    """The registry at an address, entered with what ``mlflow.env`` in a directory says."""
    values = values_of(secrets / "mlflow.env")
    who = (values["MLFLOW_TRACKING_USERNAME"], values["MLFLOW_TRACKING_PASSWORD"])
    with httpx.Client(base_url=address, auth=who, timeout=60, trust_env=False) as client:
        yield Registry(client)
