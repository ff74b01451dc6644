"""No manifest holds a secret: each names one, by keys that are the names of the variables, and somebody makes it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.secrets.write_secrets import write_secrets
from tests.deploy.pods import PodTemplate, pod_templates
from tests.deploy.rendered import DEPLOY, OVERLAYS, REPOSITORY, Document, one, overlay, render
from tests.deploy.validation import problems

_SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY|PASSWD|CREDENTIAL", re.IGNORECASE)
_RENAMED = {"POSTGRES_USER": "PGUSER", "POSTGRES_PASSWORD": "PGPASSWORD"}
"""Variables of PostgreSQL's image, which knows libpq's own by other names."""


def _variables(pod: PodTemplate) -> list[dict[str, Any]]:
    return [variable for container in pod.containers for variable in container.get("env", [])]


def _references(documents: list[Document]) -> dict[tuple[str, str], set[tuple[str, bool]]]:
    """Keys, and whether they may be missing, by namespace and name of the secret."""
    found: dict[tuple[str, str], set[tuple[str, bool]]] = {}
    for pod in pod_templates(documents):
        for variable in _variables(pod):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                key = (reference["key"], reference.get("optional", False))
                found.setdefault((pod.namespace, reference["name"]), set()).add(key)
    return found


def _with_secrets(directory: Path) -> list[Document]:
    shutil.copytree(DEPLOY / "secrets", directory / "secrets", ignore=shutil.ignore_patterns("*.env", "__pycache__"))
    write_secrets(directory / "secrets")
    return render(directory / "secrets")


def _secrets_in_the_open(documents: list[Document]) -> list[str]:
    """Where manifests hold what only a Secret may."""
    found = [f"Secret {document['metadata']['name']}" for document in documents if document["kind"] == "Secret"]
    for pod in pod_templates(documents):
        for variable in _variables(pod):
            if _SECRET.search(variable["name"]) and "secretKeyRef" not in variable.get("valueFrom", {}):
                found.append(f"{pod.where} {variable['name']}")
    for document in documents:
        if document["kind"] == "ConfigMap":
            found += [f"ConfigMap {key}" for key in document["data"] if _SECRET.search(key)]
        if re.search(r"://[^/\s:'\"]+:[^/\s@'\"]+@", str(document)):
            found.append(f"{document['kind']} {document['metadata']['name']}: a password in an address")
    return found


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_secret_stands_in_a_manifest(name: str) -> None:
    assert _secrets_in_the_open(overlay(name)) == []


@pytest.mark.parametrize(
    "leak",
    [
        lambda documents: documents.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}),
        lambda documents: (
            pod_templates([one(documents, "Deployment", "mlflow")])[0]
            .containers[0]["env"]
            .append({"name": "PGPASSWORD", "value": "12345"})
        ),
        lambda documents: one(documents, "ConfigMap", "mlflow-server")["data"].update(MLFLOW_TOKEN="12345"),
        lambda documents: one(documents, "ConfigMap", "mlflow-server")["data"].update(
            MLFLOW_BACKEND_STORE_URI="postgresql://mlflow:12345@postgres/mlflow"
        ),
    ],
)
def test_a_secret_in_the_open_is_found(leak: Callable[[list[Document]], object]) -> None:
    documents = overlay("kind")
    leak(documents)
    assert len(_secrets_in_the_open(documents)) == 1


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_key_is_the_name_of_the_variable(name: str) -> None:
    for pod in pod_templates(overlay(name)):
        for variable in _variables(pod):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                assert reference["key"] == _RENAMED.get(variable["name"], variable["name"])


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_secret_that_a_pod_names_is_among_those_made(name: str, tmp_path: Path) -> None:
    made = {
        (document["metadata"]["namespace"], document["metadata"]["name"]): set(document["data"])
        for document in _with_secrets(tmp_path)
    }
    references = _references(overlay(name))
    assert len(references) >= 4
    for secret, keys in references.items():
        assert {key for key, _ in keys} <= made[secret], secret


def test_the_pipeline_s_steps_have_theirs(tmp_path: Path) -> None:
    made = {
        document["metadata"]["name"]: set(document["data"])
        for document in _with_secrets(tmp_path)
        if document["metadata"]["namespace"] == "kubeflow"
    }
    assert made == {
        "ganvas-s3": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
        "ganvas-mlflow": {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"},
    }


def test_what_is_written_is_for_nobody_else_and_is_never_written_again(tmp_path: Path) -> None:
    written = write_secrets(tmp_path)
    assert [path.name for path in written] == ["s3.env", "mlflow.env", "mlflow-server.env"]
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
    before = [path.read_text() for path in written]
    assert write_secrets(tmp_path) == []
    assert [path.read_text() for path in written] == before
    other = tmp_path / "other"
    other.mkdir()
    assert [path.read_text() for path in write_secrets(other)] != before


def test_the_client_enters_as_the_administrator_that_the_server_makes(tmp_path: Path) -> None:
    write_secrets(tmp_path)
    client, server = _read(tmp_path / "mlflow.env"), _read(tmp_path / "mlflow-server.env")
    assert client["MLFLOW_TRACKING_USERNAME"] == server["MLFLOW_AUTH_ADMIN_USERNAME"]
    assert client["MLFLOW_TRACKING_PASSWORD"] == server["MLFLOW_AUTH_ADMIN_PASSWORD"]
    secrets = [client["MLFLOW_TRACKING_PASSWORD"], server["PGPASSWORD"], server["MLFLOW_FLASK_SERVER_SECRET_KEY"]]
    assert len(set(secrets)) == 3 and all(len(secret) >= 32 for secret in secrets)


def test_one_file_that_is_missing_beside_others_is_an_error(tmp_path: Path) -> None:
    write_secrets(tmp_path)
    (tmp_path / "mlflow.env").unlink()
    with pytest.raises(SystemExit, match=r"mlflow\.env is missing beside"):
        write_secrets(tmp_path)
    assert not (tmp_path / "mlflow.env").exists()


@pytest.mark.parametrize("name", ["s3", "mlflow", "mlflow-server"])
def test_the_examples_name_what_is_written(name: str, tmp_path: Path) -> None:
    write_secrets(tmp_path)
    assert _read(DEPLOY / "secrets" / f"{name}.env.example").keys() == _read(tmp_path / f"{name}.env").keys()


def test_git_ignores_the_files() -> None:
    assert "deploy/secrets/*.env" in (REPOSITORY / ".gitignore").read_text().splitlines()


def _read(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def test_the_kind_overlay_with_its_secrets_is_one_command(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("*.env"))
    write_secrets(tmp_path / "deploy" / "secrets")
    documents = render(tmp_path / "deploy" / "overlays" / "kind-and-secrets")
    secrets = [document for document in documents if document["kind"] == "Secret"]
    assert len(documents) == len(overlay("kind")) + len(secrets)
    assert len(secrets) == 7
    assert [problem for secret in secrets for problem in problems(secret)] == []
