"""MLflow's manifest says what MLflow of the locked version takes."""

from __future__ import annotations

import ast
import configparser
import fnmatch
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.pods import config_maps, environment, pod_templates
from tests.deploy.rendered import DEPLOY, OVERLAYS, REPOSITORY, Document, one, overlay

ASK = """
import json, sys
from mlflow import environment_variables
from mlflow.cli import cli
server = cli.commands["server"]
told = json.load(sys.stdin)
json.dump({
    "params": server.make_context("server", told).params,  # it starts nothing
    "variables": [str(parameter.envvar) for parameter in server.params if parameter.envvar]
    + [name for name in dir(environment_variables) if name.startswith("MLFLOW_")],
}, sys.stdout, default=str)
"""


@pytest.fixture(scope="module")
def mlflow() -> dict[str, Any]:
    """What MLflow makes of the arguments, and the variables that it reads. It warns as it is imported: not here."""
    arguments = _container(overlay("production"))["args"]
    done = subprocess.run(
        [sys.executable, "-c", ASK], input=json.dumps(arguments), capture_output=True, text=True, check=True
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _constant(module: str, name: str) -> Any:
    """A constant of a file of MLflow's, which is not imported."""
    origin = importlib.util.find_spec("mlflow").origin  # type: ignore[union-attr]
    tree = ast.parse((Path(str(origin)).parent / module).read_text())
    (value,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and [getattr(target, "id", "") for target in node.targets] == [name]
    ]
    return ast.literal_eval(value)


def _container(documents: list[Document]) -> dict[str, Any]:
    (pod,) = pod_templates([one(documents, "Deployment", "mlflow")])
    (container,) = pod.containers
    return container


def _plain(name: str) -> dict[str, str]:
    return environment(_container(overlay(name)), config_maps(overlay(name)))


def test_the_command_is_one_that_mlflow_takes(mlflow: dict[str, Any]) -> None:
    given = mlflow["params"]
    assert (given["app_name"], given["host"], given["port"]) == ("basic-auth", "0.0.0.0", 5000)
    for name in OVERLAYS:
        container = _container(overlay(name))
        assert container["command"] == ["mlflow", "server"]
        assert container["args"] == _container(overlay("production"))["args"]
        assert container["ports"] == [{"name": "http", "containerPort": given["port"]}]


@pytest.mark.parametrize("name", OVERLAYS)
def test_its_variables_are_ones_that_it_reads(name: str, mlflow: dict[str, Any]) -> None:
    secret = {variable["name"] for variable in _container(overlay(name))["env"]}
    own = {variable for variable in {*_plain(name), *secret} if variable.startswith("MLFLOW_")}
    assert "MLFLOW_AUTH_ADMIN_PASSWORD" in own and "MLFLOW_BACKEND_STORE_URI" in own
    assert own - set(mlflow["variables"]) == set()


@pytest.mark.parametrize("name", OVERLAYS)
def test_it_answers_by_the_name_that_everybody_calls_it_by(name: str) -> None:
    allowed = _plain(name)["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    endpoint = one(overlay(name), "ConfigMap", "ganvas-serving")["data"]["MLFLOW_TRACKING_URI"]

    def answers(host: str) -> bool:  # as mlflow.server.security_utils compares
        return any(fnmatch.fnmatch(host, pattern) for pattern in allowed)

    for host in (endpoint.removeprefix("http://"), "mlflow:5000", "localhost:5000", "127.0.0.1:34567"):
        assert answers(host), host
    for host in ("evil.example", "mlflow.evil.example:5000", "10.0.0.7:5000"):
        assert not answers(host), host


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_probes_ask_what_is_answered_without_a_password_and_by_any_name(name: str) -> None:
    container = _container(overlay(name))
    paths = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert paths <= set(_constant("server/auth/__init__.py", "_UNPROTECTED_PATH_PREFIXES"))
    assert paths <= set(_constant("server/security_utils.py", "HEALTH_ENDPOINTS"))


def test_users_lie_in_the_same_database_and_no_password_in_the_file() -> None:
    parser = configparser.ConfigParser()
    parser.read(DEPLOY / "base" / "mlflow" / "basic-auth.ini")
    assert parser["mlflow"]["database_uri"] == _plain("kind")["MLFLOW_BACKEND_STORE_URI"] == "postgresql+psycopg2://"
    assert set(parser["mlflow"]) == {"default_permission", "database_uri", "authorization_function"}


def test_the_image_is_of_the_locked_version() -> None:
    image = _container(overlay("kind"))["image"]
    assert f'"mlflow=={image.rpartition(":v")[2].removesuffix("-full")}"' in (REPOSITORY / "pyproject.toml").read_text()


def test_a_database_outside_is_named_by_its_secret_alone() -> None:
    container = _container(overlay("production"))
    (host,) = [variable for variable in container["env"] if variable["name"] == "PGHOST"]
    assert host["valueFrom"]["secretKeyRef"] == {"name": "ganvas-mlflow-server", "key": "PGHOST"}
    assert _plain("production")["PGSSLMODE"] == "require"
    kinds = {document["kind"] for document in overlay("production")}
    assert "StatefulSet" not in kinds and "Job" not in kinds
