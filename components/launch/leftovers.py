"""The TrainJobs that a run left behind: its train step was killed before it could delete its own.

The engine's launcher, the first process of the step's pod, hands no SIGTERM on: a run that is terminated kills the step
outright. The exit handler is a pod of its own, and deletes what is left.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.cluster import cluster_settings
from components.environment import CLUSTER
from components.launch.api import Cluster
from components.launch.labels import labels_of
from components.launch.patience import Patience
from models.errors import GanvasError

IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
"""Kubernetes sets it in every pod."""
LIMIT_SECONDS = 30.0
"""For each request with its repetitions: the run is over, and waits for this only."""


def delete_left_jobs(pipeline_run_id: str, environment: Mapping[str, str], limit_seconds: float = LIMIT_SECONDS) -> str:
    """Delete the TrainJobs of a run that is over; what was done, in one line.

    Only in a pod of a cluster, or where ``GANVAS_CLUSTER`` describes one: a kubeconfig that lies about on somebody's
    machine is not reason enough. Nothing is raised: by then everything is decided, and a job that cannot be deleted
    ends by its own deadline.

    Args:
        pipeline_run_id: the run; an empty one has no jobs.
        environment: of this process.
        limit_seconds: for the list, and for each deletion; none is waited for.
    """
    if not pipeline_run_id or not (environment.get(CLUSTER) or environment.get(IN_CLUSTER)):
        return "There is no cluster, so no TrainJob was left on one."
    labels = labels_of(pipeline_run_id)
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    deleted: list[str] = []
    try:
        described = cluster_settings(environment) is not None
        cluster = Cluster(Patience(limit_seconds, limit_seconds), kubeconfig=described)
        for job in cluster.jobs(selector):
            name, uid = job["metadata"]["name"], job["metadata"]["uid"]
            if not job["metadata"].get("deletionTimestamp"):
                cluster.delete(name, uid)
                deleted.append(name)
    except GanvasError as error:
        done = f"TrainJob {', '.join(deleted)} is deleted. " if deleted else ""
        return (
            f"{done}A TrainJob of this run may be left, until its activeDeadlineSeconds end it: {error.message} "
            f"kubectl delete trainjob -l {selector}"
        )
    if not deleted:
        return "No TrainJob was left."
    return f"TrainJob {', '.join(deleted)} was left in namespace {cluster.namespace}, and is deleted."
