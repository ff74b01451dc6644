"""One training pod is killed on the way, as a lost machine would take it."""

from __future__ import annotations

from typing import Any

from tests.kind.cluster import MINUTE
from tests.kind.kubectl import Kubectl, in_namespace
from tests.kind.pipeline_run import NODES, require_running
from tests.kind.shell import say
from tests.kind.waiting import Look, wait_until

RUN_LABEL = "ganvas/pipeline-run"
JOBSET_LABEL = "jobset.sigs.k8s.io/jobset-name"
Document = dict[str, Any]


def running_nodes(pods: Document) -> list[str]:
    """Names of the pods that train, in order."""
    return sorted(pod["metadata"]["name"] for pod in pods["items"] if pod.get("status", {}).get("phase") == "Running")


def not_restarted(jobset: Document) -> str:
    """What keeps a JobSet from having begun again."""
    return "" if jobset.get("status", {}).get("restarts", 0) >= 1 else f"{jobset['metadata']['name']} was not restarted"


class Training:
    """The TrainJob of one run, as the cluster has it."""

    def __init__(self, kubectl: Kubectl, host: str, run_id: str) -> None:
        self._kubectl, self._host, self._run_id = kubectl, host, run_id
        self.job = ""

    def lose_a_node(self, no_checkpoint: Look) -> None:
        """Wait for the nodes and a checkpoint, kill the last, see the job begin again with all of them.

        Args:
            no_checkpoint: says what keeps training from being gone on with; empty once it can be.

        Raises:
            GanvasError: if any of that does not come.
        """

        def look_for_checkpoint() -> str:
            require_running(self._host, self._run_id)
            return no_checkpoint()

        wait_until("the TrainJob", self._look_for_job, 30 * MINUTE)
        wait_until(f"{NODES} nodes that train", self._look_for_nodes, 10 * MINUTE)
        # A node that is lost before would prove that training begins, not that it goes on.
        wait_until("the first checkpoint", look_for_checkpoint, 20 * MINUTE)
        lost = running_nodes(self._pods())[-1]
        say(f"{lost} is killed.")
        self._kubectl.delete(in_namespace("v1", "kubeflow", "pods", lost), gracePeriodSeconds="0")
        wait_until("the job's second attempt", self._look_for_restart, 5 * MINUTE)
        wait_until(f"{NODES} nodes that train again", self._look_for_nodes, 10 * MINUTE)

    def _look_for_job(self) -> str:
        require_running(self._host, self._run_id)
        address = in_namespace("trainer.kubeflow.org/v1alpha1", "kubeflow", "trainjobs")
        found = self._kubectl.read(address, labelSelector=f"{RUN_LABEL}={self._run_id}")["items"]
        self.job = found[0]["metadata"]["name"] if found else ""
        return "" if self.job else "there is none"

    def _pods(self) -> Document:
        pods: Document = self._kubectl.read(
            in_namespace("v1", "kubeflow", "pods"), labelSelector=f"{JOBSET_LABEL}={self.job}"
        )
        return pods

    def _look_for_nodes(self) -> str:
        require_running(self._host, self._run_id)
        count = len(running_nodes(self._pods()))
        return "" if count == NODES else f"{count} of {NODES} run"

    def _look_for_restart(self) -> str:
        address = in_namespace("jobset.x-k8s.io/v1alpha2", "kubeflow", "jobsets", self.job)
        return not_restarted(self._kubectl.read(address))
