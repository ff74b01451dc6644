"""The endpoint's manifests say what the endpoint really reads, answers and shows."""

from __future__ import annotations

import asyncio
import copy
import os
import re
from typing import Any

import httpx
import pytest
import yaml

from serving.catalog import Catalog
from serving.http.app import create_app
from serving.settings import ENVIRONMENT_PREFIX, FILE_VARIABLE, Settings, read_settings
from tests.deploy.pods import PodTemplate, config_maps, environment, pod_templates
from tests.deploy.rendered import DEPLOY, OVERLAYS, REPOSITORY, Document, one, overlay
from tests.serving.metrics_table import used_metrics

_OTHERS_THAT_SERVING_READS = {
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
}


def _pod(name: str) -> PodTemplate:
    """The endpoint's pod, whoever runs it."""
    pods = pod_templates(overlay(name))
    (pod,) = [pod for pod in pods if pod.labels.get("app.kubernetes.io/name") == "ganvas-serving"]
    return pod


def _container(name: str) -> dict[str, Any]:
    (container,) = _pod(name).containers
    return container


def _plain(name: str) -> dict[str, str]:
    return environment(_container(name), config_maps(overlay(name)))


def _settings(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the server makes of the environment that the manifest gives it."""
    for variable in [variable for variable in os.environ if variable.upper().startswith(ENVIRONMENT_PREFIX)]:
        monkeypatch.delenv(variable)
    for variable, value in _plain(name).items():
        monkeypatch.setenv(variable, value)
    return read_settings()


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_variable_is_one_that_the_server_reads(name: str) -> None:
    own = {ENVIRONMENT_PREFIX + setting.upper() for setting in Settings.model_fields} | {FILE_VARIABLE}
    secret = {variable["name"] for variable in _container(name)["env"]}
    assert {*_plain(name), *secret} - own - _OTHERS_THAT_SERVING_READS == set()


@pytest.mark.parametrize("variable", sorted(_OTHERS_THAT_SERVING_READS))
def test_the_other_variables_stand_in_the_server_s_code(variable: str) -> None:
    code = "".join(path.read_text() for path in (REPOSITORY / "serving").rglob("*.py"))
    assert re.search(rf"""["']{variable}["']""", code)


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_server_takes_the_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(name, monkeypatch)
    assert settings.host == "0.0.0.0"
    assert settings.registry_uri == "http://mlflow.mlflow:5000"
    ports = {port["name"]: port["containerPort"] for port in _container(name)["ports"]}
    assert ports == {"http": settings.port, "grpc": settings.grpc_port}
    assert settings.require_verdict == name.startswith("production")
    assert settings.log_format == "json"


@pytest.mark.parametrize("name", OVERLAYS)
def test_a_pod_has_time_to_drain(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(name, monkeypatch)
    assert settings.drain_seconds > 0
    assert _pod(name).spec["terminationGracePeriodSeconds"] >= settings.drain_seconds + settings.shutdown_seconds + 5


def _answers(path: str) -> int:
    """The status of what the server, without a champion, answers on a path."""
    settings = Settings(models=("digits-gan",))
    app: Any = create_app(Catalog(["digits-gan"]), used_metrics(), settings)

    async def get() -> int:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            return (await client.get(path)).status_code

    return asyncio.run(get())


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_probes_ask_what_the_server_answers(name: str) -> None:
    container = _container(name)
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {probe["port"] for probe in probes.values()} == {"http"}
    # A pod without a champion lives and gets no requests.
    assert {kind: _answers(probe["path"]) for kind, probe in probes.items()} == {
        "startup": 200,
        "liveness": 200,
        "readiness": 503,
    }


def test_a_path_that_is_not_there_would_be_seen() -> None:
    assert _answers("/v2/health/alive") == 404


def test_prometheus_scrapes_a_path_and_a_port_that_are_there() -> None:
    documents = overlay("production")
    monitor, service = one(documents, "ServiceMonitor", "ganvas-serving"), one(documents, "Service", "ganvas-serving")
    (endpoint,) = monitor["spec"]["endpoints"]
    assert _answers(endpoint["path"]) == 200
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"]
    assert set(monitor["spec"]["targetLabels"]) <= service["metadata"]["labels"].keys()


def test_prometheus_scrapes_the_pods_where_the_service_is_kserve_s() -> None:
    documents, pod = overlay("production-kserve"), _pod("production-kserve")
    monitor = one(documents, "PodMonitor", "ganvas-serving")["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert _answers(endpoint["path"]) == 200
    assert endpoint["port"] in {port["name"] for port in pod.containers[0]["ports"]}
    assert monitor["selector"]["matchLabels"].items() <= pod.labels.items()
    assert "ServiceMonitor" not in {document["kind"] for document in documents}


def _scaled_on(documents: list[Document]) -> str:
    (metric,) = one(documents, "HorizontalPodAutoscaler", "ganvas-serving")["spec"]["metrics"]
    scaled_on: str = metric["pods"]["metric"]["name"]
    return scaled_on


@pytest.mark.parametrize("name", ["production", "production-kserve"])
def test_the_autoscaler_s_metric_is_shown_and_made(name: str) -> None:
    metric = _scaled_on(overlay(name))
    (family,) = [family for family in used_metrics().families() if family.name == metric]
    assert family.type == "gauge"
    values = yaml.safe_load((DEPLOY / "monitoring" / "prometheus-adapter-values.yaml").read_text())
    (rule,) = values["rules"]["custom"]
    assert rule["name"]["as"] == metric
    assert rule["seriesQuery"].partition("{")[0] == family.name


def test_the_autoscaler_does_not_fight_with_a_number_of_replicas() -> None:
    for name in ("production", "production-kserve"):
        documents = overlay(name)
        target = one(documents, "HorizontalPodAutoscaler", "ganvas-serving")["spec"]["scaleTargetRef"]
        deployments = [document for document in documents if document["kind"] == "Deployment"]
        assert [d for d in deployments if d["metadata"]["name"] == target["name"] and "replicas" in d["spec"]] == []
    # KServe names its Deployment after the service's.
    assert {
        name: one(overlay(name), "HorizontalPodAutoscaler", "ganvas-serving")["spec"]["scaleTargetRef"]["name"]
        for name in ("production", "production-kserve")
    } == {"production": "ganvas-serving", "production-kserve": "ganvas-serving-predictor"}


@pytest.mark.parametrize("name", ["production", "production-kserve"])
def test_replicas_are_spread_and_go_one_at_a_time(name: str) -> None:
    pod = _pod(name)
    keys = [constraint["topologyKey"] for constraint in pod.spec["topologySpreadConstraints"]]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
    budget = one(overlay(name), "PodDisruptionBudget", "ganvas-serving")["spec"]
    selectors = [constraint["labelSelector"] for constraint in pod.spec["topologySpreadConstraints"]]
    for selector in [budget["selector"], *selectors]:
        assert selector["matchLabels"].items() <= pod.labels.items()
    assert budget["maxUnavailable"] == 1


@pytest.mark.parametrize("name", OVERLAYS)
def test_services_lead_to_ports_that_containers_open(name: str) -> None:
    documents = overlay(name)
    services = [document for document in documents if document["kind"] == "Service"]
    assert services
    for service in services:
        selector, namespace = service["spec"]["selector"], service["metadata"]["namespace"]
        pods = [
            pod
            for pod in pod_templates(documents)
            if pod.namespace == namespace and selector.items() <= pod.labels.items()
        ]
        (pod,) = pods
        opened = {port["name"] for container in pod.containers for port in container.get("ports", [])}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= opened


def test_kserve_runs_the_same_pod() -> None:
    ours, theirs = copy.deepcopy(_pod("production").spec), copy.deepcopy(_pod("production-kserve").spec)
    assert theirs["containers"][0].pop("name") == "kserve-container"
    assert ours["containers"][0].pop("name") == "ganvas-serving"
    assert (theirs.pop("minReplicas"), theirs.pop("labels").keys()) == (
        one(overlay("production"), "HorizontalPodAutoscaler", "ganvas-serving")["spec"]["minReplicas"],
        {"app.kubernetes.io/name", "app.kubernetes.io/part-of"},
    )
    assert theirs == ours


def test_kserve_replaces_deployment_and_service() -> None:
    kinds = {
        document["kind"]
        for document in overlay("production-kserve")
        if document["metadata"]["name"].startswith("ganvas-serving") and document["metadata"].get("namespace")
    }
    assert kinds & {"Deployment", "Service"} == set()
    assert "InferenceService" in kinds


@pytest.mark.parametrize("name", OVERLAYS)
def test_another_setting_is_a_rolling_update(name: str) -> None:
    (source,) = _container(name)["envFrom"]
    config_map = one(overlay(name), "ConfigMap", "ganvas-serving")["metadata"]["name"]
    assert source["configMapRef"]["name"] == config_map != "ganvas-serving"
