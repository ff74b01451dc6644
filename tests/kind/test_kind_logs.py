"""What a failed test leaves to be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.kind.api_server import Api, running
from tests.kind.kubectl import Kubectl, in_namespace
from tests.kind.logs import NAMESPACES, collect, containers, event_lines

POD: dict[str, Any] = {
    "metadata": {"name": "mlflow-1"},
    "status": {
        "initContainerStatuses": [{"name": "before", "state": {"terminated": {"exitCode": 0}}, "restartCount": 0}],
        "containerStatuses": [
            {"name": "mlflow", "state": {"running": {}}, "restartCount": 2},
            {"name": "beside", "state": {"waiting": {"reason": "ImagePullBackOff"}}, "restartCount": 0},
        ],
    },
}
EVENT = {
    "lastTimestamp": "2026-01-02T03:04:05Z",
    "type": "Warning",
    "involvedObject": {"kind": "Pod", "name": "mlflow-1"},
    "reason": "Failed",
    "message": "image\nnot found",
}


def test_every_log_that_there_is_is_asked_for() -> None:
    assert list(containers({"items": [POD, {"metadata": {"name": "new"}}]})) == [
        ("mlflow-1", "before", False),
        ("mlflow-1", "mlflow", False),
        ("mlflow-1", "mlflow", True),
    ]


def test_an_event_is_one_line() -> None:
    assert event_lines({"items": [EVENT]}) == ["2026-01-02T03:04:05Z Warning Pod/mlflow-1 Failed: image not found"]


def test_logs_events_and_objects_are_written_and_what_is_missing_is_told(tmp_path: Path) -> None:
    with running(Api()) as api:
        for namespace in NAMESPACES:
            pods = [POD] if namespace == "mlflow" else []
            api.get[in_namespace("v1", namespace, "pods")] = lambda _, pods=pods: {"items": pods}
            api.get[in_namespace("v1", namespace, "events")] = lambda _: {"items": [EVENT]}
        log = in_namespace("v1", "mlflow", "pods", "mlflow-1") + "/log"
        # The log of the container before this one is gone.
        api.get[log] = lambda query: None if "previous" in query else f"of {query['container']}\n"
        trainjobs = in_namespace("trainer.kubeflow.org/v1alpha1", "kubeflow", "trainjobs")
        api.get[trainjobs] = lambda _: {"items": [{"metadata": {"name": "ganvas-1"}}]}
        collect(Kubectl(api.kubeconfig(tmp_path)), tmp_path / "logs")

    logs = tmp_path / "logs"
    assert sorted(path.name for path in (logs / "mlflow").iterdir()) == [
        "events.txt",
        "mlflow-1.before.log",
        "mlflow-1.mlflow.log",
        "pods.json",
    ]
    assert (logs / "mlflow" / "mlflow-1.mlflow.log").read_text() == "of mlflow\n"
    assert (logs / "mlflow" / "events.txt").read_text().endswith("Failed: image not found\n")
    assert json.loads((logs / "kubeflow" / "trainjobs.json").read_text())["items"][0]["metadata"]["name"] == "ganvas-1"
    missing = (logs / "missing.txt").read_text().splitlines()
    assert len(missing) == 2
    assert "previous=true" in missing[0] and "jobsets" in missing[1]


def test_a_cluster_that_is_gone_hides_no_other_failure(tmp_path: Path) -> None:
    with running(Api()) as api:
        kubeconfig = api.kubeconfig(tmp_path)
    collect(Kubectl(kubeconfig), tmp_path / "logs")
    assert len((tmp_path / "logs" / "missing.txt").read_text().splitlines()) == len(NAMESPACES) + 2
