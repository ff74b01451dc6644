"""What a TrainJob and its pods, as the API spells them, say of a training. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from components.launch.api import CONTAINER

INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
ATTEMPT_LABEL = "jobset.sigs.k8s.io/restart-attempt"
CANNOT_START = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
}
"""Reasons why a container waits that seldom pass by themselves."""
PERMANENT_EXIT_CODE = 2
"""A node's wrong setting: the same at every restart."""


@dataclass(frozen=True)
class Ended:
    """A TrainJob's last condition."""

    succeeded: bool
    words: str


def ended(job: dict[str, Any]) -> Ended | None:
    """How a TrainJob ended; None while it goes on."""
    for condition in (job.get("status") or {}).get("conditions") or []:
        kind = condition.get("type")
        if kind in ("Complete", "Completed", "Failed") and condition.get("status") == "True":
            words = f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": ").rstrip(".")
            return Ended(kind != "Failed", words)
    return None


def is_suspended(job: dict[str, Any]) -> bool:
    """Whether a queue, such as Kueue's, keeps a TrainJob from starting."""
    return _condition(job.get("status") or {}, "Suspended").get("status") == "True"


@dataclass(frozen=True)
class Node:
    """One node's pod.

    ``index`` counts the nodes, ``attempt`` the restarts of the whole job. ``trouble`` is why it ended, in words;
    ``blocked`` why its container cannot start; ``waits`` why no machine takes it.
    """

    pod: str
    index: int
    attempt: int
    phase: Literal["Pending", "Running", "Succeeded", "Failed", "Unknown"]
    ready: bool
    machine: str
    started: bool
    exit_code: int | None
    finished_at: str
    trouble: str
    blocked: str
    waits: str


def node_of(pod: dict[str, Any]) -> Node:
    """A pod, read."""
    metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    labels = metadata.get("labels") or {}
    containers = status.get("containerStatuses") or []
    container: dict[str, Any] = next((one for one in containers if one.get("name") == CONTAINER), {})
    state = container.get("state") or {}
    terminated, waiting = state.get("terminated") or {}, state.get("waiting") or {}
    blocked = ""
    if waiting.get("reason") in CANNOT_START:
        blocked = f"{waiting['reason']}: {waiting.get('message', '')}".strip(": ").rstrip(".")
    return Node(
        pod=metadata["name"],
        index=int(labels.get(INDEX_LABEL, 0)),
        attempt=int(labels.get(ATTEMPT_LABEL, 0)),
        phase=status.get("phase") or "Pending",
        ready=bool(container.get("ready")),
        machine=spec.get("nodeName") or "",
        started=bool(terminated) or state.get("running") is not None,
        exit_code=terminated.get("exitCode"),
        finished_at=str(terminated.get("finishedAt") or ""),
        trouble=_trouble(status, terminated),
        blocked=blocked,
        waits=_waits(status),
    )


def _trouble(status: dict[str, Any], terminated: dict[str, Any]) -> str:
    disruption = _condition(status, "DisruptionTarget")
    message = str(status.get("message") or disruption.get("message") or "").strip().rstrip(".")
    if status.get("reason") == "Evicted":
        return f"was evicted: {message}"
    if status.get("reason") == "NodeLost" or disruption.get("reason") == "DeletionByTaintManager":
        return f"was lost with its machine: {message}".rstrip(": ")
    if disruption.get("status") == "True":
        return f"had to leave its machine ({disruption.get('reason')}): {message}".rstrip(": ")
    if terminated.get("reason") == "OOMKilled":
        return "ran out of memory (OOMKilled)"
    if terminated.get("exitCode"):
        return f"ended with code {terminated['exitCode']}"
    return (
        f"failed: {status.get('reason') or message or 'no reason is known'}" if status.get("phase") == "Failed" else ""
    )


def _waits(status: dict[str, Any]) -> str:
    scheduled = _condition(status, "PodScheduled")
    return str(scheduled.get("message") or "").rstrip(".") if scheduled.get("reason") == "Unschedulable" else ""


def _condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((one for one in status.get("conditions") or [] if one.get("type") == kind), {})


def newest_attempt(nodes: Collection[Node]) -> list[Node]:
    """The pods of the job's newest start, one for each node, by index: of several pods of a node the one that lives."""
    attempt = max((node.attempt for node in nodes), default=0)
    living = {"Running": 2, "Pending": 1, "Succeeded": 3}
    by_index: dict[int, Node] = {}
    for node in nodes:
        other = by_index.get(node.index)
        if node.attempt == attempt and (other is None or living.get(node.phase, 0) > living.get(other.phase, 0)):
            by_index[node.index] = node
    return [by_index[index] for index in sorted(by_index)]


def first_failed(nodes: Sequence[Node]) -> list[Node]:
    """Nodes in trouble, the one that was first in front: the others mostly ended because of it."""
    troubled = [node for node in nodes if node.trouble]
    # An eviction has no container's end to order by, and is a cause, not a consequence.
    return sorted(troubled, key=lambda node: (node.exit_code is not None, node.finished_at, node.index))


def signs_of_life(job: dict[str, Any], nodes: Iterable[Node]) -> object:
    """What changes while something goes on; equal between two looks where nothing does."""
    conditions = (job.get("status") or {}).get("conditions") or []
    # A container that is pulled, backs off and is pulled again gets nowhere: why it waits is left out.
    return (
        tuple((one.get("type"), one.get("status"), one.get("reason")) for one in conditions),
        tuple(sorted((node.pod, node.phase, node.ready, node.started, node.machine) for node in nodes)),
    )
