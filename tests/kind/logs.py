"""Everything that tells why it failed, taken out of the cluster before that is deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kind.kubectl import Kubectl, in_namespace
from tests.kind.shell import StepFailed

NAMESPACES = ("ganvas", "mlflow", "ganvas-storage", "kubeflow", "kubeflow-system")
_JOBS = (("trainer.kubeflow.org/v1alpha1", "trainjobs"), ("jobset.x-k8s.io/v1alpha2", "jobsets"))


def collect(kubectl: Kubectl, directory: Path) -> None:
    """Write logs of every container, events and objects into one directory a namespace.

    Whatever cannot be had is a line in ``missing.txt``; nothing is raised, because the failure to be explained is
    another.
    """
    missing: list[str] = []
    for namespace in NAMESPACES:
        target = directory / namespace
        target.mkdir(parents=True, exist_ok=True)
        try:
            pods = kubectl.read(in_namespace("v1", namespace, "pods"))
            (target / "pods.json").write_text(json.dumps(pods, indent=1))
            events = kubectl.read(in_namespace("v1", namespace, "events"))
            (target / "events.txt").write_text("".join(line + "\n" for line in event_lines(events)))
        except StepFailed as failure:
            missing.append(failure.message)
            continue
        for pod, container, previous in containers(pods):
            query = {"container": container, "tailLines": "5000", **({"previous": "true"} if previous else {})}
            name = f"{pod}.{container}{'.previous' if previous else ''}.log"
            try:
                text = kubectl.text(in_namespace("v1", namespace, "pods", pod) + "/log", **query)
                (target / name).write_text(text)
            except StepFailed as failure:
                missing.append(failure.message)
    for group_version, resource in _JOBS:
        try:
            found = kubectl.read(in_namespace(group_version, "kubeflow", resource))
            (directory / "kubeflow" / f"{resource}.json").write_text(json.dumps(found, indent=1))
        except StepFailed as failure:
            missing.append(failure.message)
    (directory / "missing.txt").write_text("".join(f"{line}\n" for line in missing))


def containers(pods: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Pod, container, and whether the log is that of the container before the one that runs now."""
    for pod in pods["items"]:
        status, name = pod.get("status", {}), pod["metadata"]["name"]
        for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            state = container.get("state", {})
            if "running" in state or "terminated" in state:
                yield name, container["name"], False
            if container.get("restartCount", 0):
                yield name, container["name"], True


def event_lines(events: dict[str, Any]) -> list[str]:
    """Events as a person reads them, oldest first."""
    return sorted(
        f"{event.get('lastTimestamp') or event.get('eventTime') or '?'} {event.get('type', '')} "
        f"{event['involvedObject'].get('kind', '')}/{event['involvedObject'].get('name', '')} "
        f"{event.get('reason', '')}: {' '.join(str(event.get('message', '')).split())}"
        for event in events["items"]
    )
