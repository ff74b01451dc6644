"""A run that is over: its TrainJobs are deleted, nobody else's, and nothing is asked where there is no cluster."""

from __future__ import annotations

from typing import Any

import pytest

from components.environment import CLUSTER
from components.launch.leftovers import IN_CLUSTER, delete_left_jobs
from tests.components.launch.fake_api import FakeCluster, Fault

RUN = "5c3b7f62-1111-4222-8333-abcdefabcdef"
DESCRIBED = {CLUSTER: '{"image": "pipeline@sha256:1"}'}
JOBS = r"/trainjobs$"


def put_job(cluster: FakeCluster, name: str, run: str = RUN, manager: str = "ganvas") -> None:
    labels = {"app.kubernetes.io/managed-by": manager, "ganvas/pipeline-run": run}
    cluster.put_job({"metadata": {"name": name, "labels": labels}})


def test_only_this_runs_own_are_deleted_with_their_uid(cluster: FakeCluster) -> None:
    cluster.deletion_seconds = 60.0  # deleted, and not gone: that is not waited for
    for name in ("one", "two"):
        put_job(cluster, name)
    put_job(cluster, "another-runs", run="run-8")
    put_job(cluster, "somebodys", manager="somebody")
    said = delete_left_jobs(RUN, DESCRIBED)
    assert said == "TrainJob one, two was left in namespace kubeflow, and is deleted."
    deleted = {name for name, job in cluster.jobs.items() if "deletionTimestamp" in job["metadata"]}
    assert deleted == {"one", "two"}
    assert {body["preconditions"]["uid"] for body in cluster.deletions} == {
        cluster.jobs[name]["metadata"]["uid"] for name in deleted
    }
    assert {body["propagationPolicy"] for body in cluster.deletions} == {"Foreground"}
    assert delete_left_jobs(RUN, DESCRIBED) == "No TrainJob was left."  # they are on their way


def test_a_run_that_left_none_costs_one_request(cluster: FakeCluster) -> None:
    put_job(cluster, "another-runs", run="run-8")
    assert delete_left_jobs(RUN, DESCRIBED) == "No TrainJob was left."
    assert len(cluster.requests) == 1


@pytest.mark.parametrize(("run", "environment"), [(RUN, {}), ("", DESCRIBED)])
def test_without_a_cluster_or_a_run_nothing_is_asked(
    cluster: FakeCluster, run: str, environment: dict[str, str]
) -> None:
    """A kubeconfig leads to the cluster, as on many a laptop."""
    put_job(cluster, "one", run)
    assert "no cluster" in delete_left_jobs(run, environment)
    assert cluster.requests == []


def test_a_pod_without_a_token_takes_no_kubeconfig(cluster: FakeCluster) -> None:
    put_job(cluster, "one")
    assert "cannot speak to its cluster" in (said := delete_left_jobs(RUN, {IN_CLUSTER: "10.0.0.1"}))
    assert "\n" not in said
    assert cluster.requests == []


@pytest.mark.parametrize(
    ("fault", "reads"),
    [
        ({"method": "GET", "status": 403, "message": "cannot list trainjobs"}, "refused to list the TrainJobs"),
        ({"method": "GET", "status": 503, "message": "shutting down"}, "did not answer"),
        ({"method": "GET", "cut": 0}, "did not answer"),
        ({"method": "DELETE", "path": "/one$", "status": 403, "message": "cannot delete"}, "refused to delete"),
        ({"method": "GET", "status": 404, "message": "page not found"}, "No TrainJob was left."),
    ],
)
def test_what_cannot_be_done_is_one_line(cluster: FakeCluster, fault: dict[str, Any], reads: str) -> None:
    put_job(cluster, "one")
    cluster.faults.append(Fault(**{"path": JOBS, "times": 1_000, **fault}))
    said = delete_left_jobs(RUN, DESCRIBED, limit_seconds=0.1)
    assert reads in said
    assert "\n" not in said
