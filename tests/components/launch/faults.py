"""The launcher's fault table: what happens, what the user reads, what is left behind.

Each row plays a cluster on the fake API server; the launcher is the real one. Used by the tests and by the campaign.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from components.cluster import ClusterSettings
from components.conclude.component import conclude_run
from components.environment import CLUSTER
from components.launch.nodes import train_on_nodes
from components.launch.patience import Patience
from components.recipe import Recipe, override
from components.train.durable import open_durable, push_result
from components.train.worker import Job
from models.errors import GanvasError
from tests.components.launch.fake_api import FakeCluster, Fault

HASTY = Patience(
    total_seconds=30.0,
    progress_seconds=20.0,
    tick_seconds=0.05,
    watch_margin_seconds=0.5,
    stuck_seconds=0.3,
    first_pause_seconds=0.02,
    longest_pause_seconds=0.1,
    request_seconds=5.0,
    deletion_seconds=5.0,
    termination_seconds=5.0,
)
IMAGE = "registry.example/ganvas@sha256:" + "0" * 64
RUN_ID = "5c3b7f62-1111-4222-8333-abcdefabcdef"
NEVER = 10**6
JOBS_PATH = "/trainjobs"
PODS_PATH = "/pods$"


@dataclass
class World:
    """One training on a fake cluster: its data, and a finished checkpoint that the nodes would have made."""

    cluster: FakeCluster
    recipe: Recipe
    dataset: Path
    checkpoint: Path
    work: Path
    patience: Patience = HASTY

    def __post_init__(self) -> None:
        self.recipe = override(self.recipe, {"resources.nodes": 2})
        self.uri = f"file://{self.work}/durable"
        fingerprint = json.loads((self.dataset / "manifest.json").read_text())["fingerprint"]
        self.place = open_durable(self.uri, self.recipe, fingerprint, RUN_ID)

    @property
    def job(self) -> Job:
        place = {"dataset": str(self.dataset), "output": self.work / "out", "checkpoint_uri": self.uri}
        return Job(recipe=self.recipe, pipeline_run_id=RUN_ID, **place)

    @property
    def settings(self) -> ClusterSettings:
        return ClusterSettings(image=IMAGE, secrets={"AWS_SECRET_ACCESS_KEY": "ganvas-s3"})

    def complete(self, name: str) -> None:
        """The nodes end well: the first one hands its result over, as the last thing before its end."""
        push_result(self.place, self.checkpoint)
        for pod in [pod for pod in self.cluster.pods if pod.startswith(f"{name}-")]:
            self.cluster.fail_pod(pod, 0)
        self.cluster.end_job(name, "Complete", "AllJobsCompleted", "jobset completed successfully")

    def name(self) -> str:
        """Of the TrainJob, which is known once it was sent."""
        return self.body()["metadata"]["name"]

    def body(self) -> dict[str, Any]:
        """What the launcher sends, learned by letting it send it to a server that refuses."""
        if not hasattr(self, "_body"):
            self._body = sent_body(self)
        return self._body


def sent_body(world: World) -> dict[str, Any]:
    """The TrainJob that a launch would make."""
    from components.launch import nodes

    kept: list[dict[str, Any]] = []

    class Kept(Exception):
        pass

    def keep(api: Any, body: dict[str, Any], *_: Any) -> Any:
        kept.append(body)
        raise Kept

    original, nodes.TrainJob = nodes.TrainJob, keep  # type: ignore[misc,assignment]
    try:
        train_on_nodes(world.job, "", world.settings, world.patience)
    except Kept:
        pass
    finally:
        nodes.TrainJob = original  # type: ignore[misc]
    return kept[0]


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        fault: its name.
        play: sets the cluster up.
        reads: regular expressions, all found in what the user reads.
        fails: whether the launch fails.
        left: what is left on the server, of ``job`` (ours) and ``foreign``.
        patience: other than the hasty one.
        terminated: whether SIGTERM comes, to a process of its own, once the cluster has seen what ``play`` waits for.
        killed: whether that signal goes no further than to a shell above it, as to the engine's launcher, so that all
            are killed a moment later; then the run's exit handler is what is read.
    """

    fault: str
    play: Callable[[World], None]
    reads: tuple[str, ...]
    fails: bool = True
    left: tuple[str, ...] = ()
    patience: dict[str, float] = field(default_factory=dict)
    terminated: str = ""
    killed: bool = False


@dataclass(frozen=True)
class Seen:
    """How a row ended."""

    text: str
    failed: bool
    error: str
    left: list[str]
    stopped_seconds: float | None = None
    """From SIGTERM to the process's end."""


def run_row(row: Row, world: World) -> Seen:
    """Launch while the row's fault is played."""
    world.patience = Patience(**{**HASTY.__dict__, **row.patience})
    row.play(world)
    if row.terminated:
        return _run_terminated(row, world)
    said, error = io.StringIO(), ""
    with redirect_stderr(said):
        try:
            train_on_nodes(world.job, "", world.settings, world.patience)
        except GanvasError as raised:
            error = str(raised)
    return Seen(said.getvalue() + error, bool(error), error, world.cluster.left() if row.left else _left_soon(world))


SWALLOWS_SIGTERM = ["sh", "-c", 'trap : TERM; "$@" & wait; wait', "sh"]
PROGRAM = """
import json, sys
from pathlib import Path
from components.cluster import ClusterSettings
from components.launch.nodes import train_on_nodes
from components.launch.patience import Patience
from components.train.worker import Job
from models.errors import GanvasError
given = json.loads(Path(sys.argv[1]).read_text())
try:
    train_on_nodes(Job(**given["job"]), "", ClusterSettings(**given["settings"]), Patience(**given["patience"]))
except GanvasError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


def _run_terminated(row: Row, world: World) -> Seen:
    given = {
        "job": world.job.model_dump(mode="json"),
        "settings": world.settings.model_dump(mode="json"),
        "patience": world.patience.__dict__,
    }
    (world.work / "given.json").write_text(json.dumps(given))
    command = [sys.executable, "-c", PROGRAM, str(world.work / "given.json")]
    process = subprocess.Popen(
        [*SWALLOWS_SIGTERM, *command] if row.killed else command,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not any(re.search(row.terminated, request) for request in world.cluster.requests):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.01)
    time.sleep(0.1)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    if row.killed:
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        assert world.cluster.jobs, "the signal came through"
        said = _concluded(world)
        return Seen(said, True, said, _left_soon(world))
    try:
        _, text = process.communicate(timeout=30)
    finally:
        process.kill()
    stopped = time.monotonic() - asked
    assert process.returncode == 143, text
    return Seen(text, True, text.splitlines()[-1], _left_soon(world), stopped)


def _left_soon(world: World) -> list[str]:
    """What is left when what was asked to go had time for it."""
    deadline = time.monotonic() + 2.0
    while world.cluster.left() and time.monotonic() < deadline:
        time.sleep(0.02)
    return world.cluster.left()


def _concluded(world: World) -> str:
    """What the exit handler of the run does, and says."""
    said = io.StringIO()
    environment = {CLUSTER: world.settings.model_dump_json()}
    with redirect_stderr(said), patch.dict(os.environ, environment):
        conclude_run.python_func(RUN_ID, SimpleNamespace(state="CANCELED", error_message=None))
    return said.getvalue()


# -- the rows


def _well(world: World) -> None:
    def play(name: str) -> None:
        first, _ = world.cluster.run_pods(name)
        world.cluster.write_log(first, "» 50%  320 images  loss 0.5", "a warning of a library")
        world.cluster.wait_for_looks()
        world.complete(name)

    world.cluster.on_created = play


def _with_faults(*faults: Fault) -> Callable[[World], None]:
    def play(world: World) -> None:
        world.cluster.faults += faults
        _well(world)

    return play


def _there(*, ours: bool = True, same: bool = True, failed: bool = False, deleted: bool = False) -> Any:
    def play(world: World) -> None:
        body = json.loads(json.dumps(world.body()))
        if not ours:
            body["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "somebody"}
        if not same:
            body["metadata"]["annotations"]["ganvas/spec-sha256"] = "another"
        name = world.cluster.put_job(body)["metadata"]["name"]
        _well(world)
        if failed:
            world.cluster.end_job(name, "Failed", "FailedJobs", "jobset failed")
        if deleted:
            world.cluster.deletion_seconds = 0.3
            world.cluster.delete(name, None)
        if ours and same and not failed and not deleted:
            world.cluster.play(name)

    return play


def _created(play: Callable[[World, str], None]) -> Callable[[World], None]:
    def set_up(world: World) -> None:
        world.cluster.on_created = lambda name: play(world, name)

    return set_up


def _restarts(trouble: Callable[[World, str], None]) -> Callable[[World], None]:
    """A node's trouble, and what a JobSet with maxRestarts does then."""

    def play(world: World, name: str) -> None:
        first, second = world.cluster.run_pods(name)
        world.cluster.write_log(first, "» 30%  192 images  loss 0.6")
        world.cluster.wait_for_looks()
        trouble(world, second)
        world.cluster.wait_for_looks()
        world.cluster.remove_pods(name)
        first, _ = world.cluster.run_pods(name, attempt=1)
        world.cluster.write_log(first, "» 60%  384 images  loss 0.4")
        world.cluster.wait_for_looks()
        world.complete(name)

    return _created(play)


def _removed_at_once(world: World, name: str) -> None:
    """As a JobSet does: the failed pod is gone before anybody could list it."""
    _, second = world.cluster.run_pods(name)
    world.cluster.wait_for_looks()
    with world.cluster.changed:
        world.cluster.fail_pod(second, 137, reason="OOMKilled")
        world.cluster.remove_pods(name)
        world.cluster.run_pods(name, attempt=1)
    world.cluster.wait_for_looks()
    world.complete(name)


def _evict(world: World, pod: str) -> None:
    world.cluster.set_pod(pod, "Failed", reason="Evicted", message="The node was low on resource: memory.")


def _lose(world: World, pod: str) -> None:
    condition = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    condition["message"] = "Taint manager: deleting due to NoExecute taint"
    world.cluster.set_pod(pod, "Running", {"running": {}}, reason="NodeLost", conditions=[condition])


def _out_of_memory(world: World, pod: str) -> None:
    world.cluster.fail_pod(pod, 137, reason="OOMKilled")


def _fails(world: World, name: str) -> None:
    first, second = world.cluster.run_pods(name)
    world.cluster.write_log(first, "» 30%  192 images  loss 0.6", "Connection closed by peer")
    world.cluster.write_log(second, "process 1: Training diverged after 640 images.")
    world.cluster.wait_for_looks()
    world.cluster.fail_pod(second, 1, finishedAt="2026-11-23T10:00:01Z")
    world.cluster.fail_pod(first, 1, finishedAt="2026-11-23T10:00:02Z")
    world.cluster.end_job(name, "Failed", "ReachedMaxRestarts", "jobset failed due to reaching max number of restarts")


def _refuses_settings(world: World, name: str) -> None:
    _, second = world.cluster.run_pods(name)
    world.cluster.write_log(second, "error: GANVAS_JOB is not valid: recipe: Field required.")
    world.cluster.fail_pod(second, 2)


def _cannot_pull(world: World, name: str) -> None:
    for index in range(2):
        pod = world.cluster.add_pod(name, index)
        waiting = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{IMAGE}"'}
        world.cluster.set_pod(pod, "Pending", {"waiting": waiting})
        world.cluster.warn(pod, "Failed", "Failed to pull image: not found")


def _no_secret(world: World, name: str) -> None:
    waiting = {"reason": "CreateContainerConfigError", "message": 'secret "ganvas-s3" not found'}
    world.cluster.set_pod(world.cluster.add_pod(name, 0), "Pending", {"waiting": waiting})


def _no_room(world: World, name: str) -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    condition["message"] = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    for index in range(2):
        pod = world.cluster.add_pod(name, index)
        world.cluster.set_pod(pod, "Pending", conditions=[condition])
        world.cluster.warn(pod, "FailedScheduling", condition["message"])


def _no_pods(world: World, name: str) -> None:
    world.cluster.warn(f"{name}-node-0", "FailedCreate", 'pods "node" is forbidden: exceeded quota: compute')


def _queued(world: World, name: str) -> None:
    world.cluster.end_job(name, "Suspended", "Suspended", "TrainJob is suspended")
    time.sleep(1.3)
    world.cluster.end_job(name, "Suspended", "Resumed", "TrainJob is resumed", status="False")
    world.cluster.run_pods(name)
    world.cluster.wait_for_looks()
    world.complete(name)


def _silent(world: World, name: str) -> None:
    first, _ = world.cluster.run_pods(name)
    world.cluster.write_log(first, "» 10%  64 images  loss 0.7")


def _for_ever(world: World, name: str) -> None:
    first, _ = world.cluster.run_pods(name)
    while name in world.cluster.jobs:
        world.cluster.write_log(first, "» 10%  64 images  loss 0.7")
        time.sleep(0.1)


def _deleted_by_another(world: World, name: str) -> None:
    world.cluster.run_pods(name)
    world.cluster.wait_for_looks()
    world.cluster.delete(name, None)


def _no_result(world: World, name: str) -> None:
    world.cluster.run_pods(name)
    world.cluster.end_job(name, "Complete", "AllJobsCompleted", "jobset completed successfully")


def _breaks_the_log(world: World) -> None:
    def play(name: str) -> None:
        first, _ = world.cluster.run_pods(name)
        for number in range(20):
            world.cluster.write_log(first, f"» line {number}.")
            time.sleep(0.02)
        world.complete(name)

    world.cluster.faults += [Fault("GET", "/log$", what="follow", cut=lines, times=1) for lines in (3, 2, 1)]
    world.cluster.on_created = play


def _versions_gone(world: World) -> None:
    def play(name: str) -> None:
        world.cluster.run_pods(name)
        for _ in range(3):
            world.cluster.wait_for_looks()
            world.cluster.forget_versions()
        world.cluster.wait_for_looks()
        world.complete(name)

    world.cluster.on_created = play


def _silent_watches(world: World) -> None:
    """Nor do they end when they were asked to."""
    world.cluster.watch_seconds = NEVER
    world.patience = Patience(**{**world.patience.__dict__, "watch_margin_seconds": 0.05})
    _well(world)


def _stuck_finalizer(world: World) -> None:
    world.cluster.deletion_seconds = 60.0
    _well(world)


QUOTA = 'trainjobs "x" is forbidden: exceeded quota: compute, requested: count/trainjobs=1, used: 4, limited: 4'
WEBHOOK = (
    'admission webhook "validator.trainjob.trainer.kubeflow.org" denied the request: spec.RuntimeRef: Invalid value: '
    'TrainingRuntime "ganvas-cpu" not found'
)
RBAC = (
    'trainjobs.trainer.kubeflow.org is forbidden: User "system:serviceaccount:kubeflow:pipeline-runner" cannot create'
)
IS_WELL = (r"2 nodes are running", r"is complete")

ROWS = [
    Row("none", _well, (r"is created: 2 nodes", *IS_WELL, r"» 50%", r"node 0: a warning of a library"), fails=False),
    Row("the step is retried while its job runs", _there(), (r"gone on with", r"is complete"), fails=False),
    Row("its job had failed", _there(failed=True), (r"earlier attempt, failed: made anew", *IS_WELL), fails=False),
    Row("its job trains something else", _there(same=False), (r"of other settings: made anew", *IS_WELL), fails=False),
    Row("its job is being deleted", _there(deleted=True), (r"is created", *IS_WELL), fails=False),
    Row("another's job has the name", _there(ours=False), (r"is not of this run", r"delete or rename"), left=("job",)),
    Row(
        "quota of the namespace",
        _with_faults(Fault("POST", JOBS_PATH, 403, QUOTA)),
        (r"refused to create TrainJob .*exceeded quota: compute.*\(403\)", r"Ask for fewer nodes"),
    ),
    Row(
        "a webhook denies it",
        _with_faults(Fault("POST", JOBS_PATH, 400, WEBHOOK)),
        (r'TrainingRuntime "ganvas-cpu" not found', r"TrainingRuntimes of deploy/"),
    ),
    Row(
        "no right to create",
        _with_faults(Fault("POST", JOBS_PATH, 403, RBAC)),
        (r"pipeline-runner.* cannot create", r"the role of deploy/"),
    ),
    Row(
        "no Kubeflow Trainer",
        _with_faults(Fault("POST", JOBS_PATH, 404, "the server could not find the requested resource")),
        (r"could not find the requested resource \(404\)", r"Install Kubeflow Trainer"),
    ),
    Row(
        "another version of Kubeflow Trainer",
        _with_faults(Fault("POST", JOBS_PATH, 422, 'TrainJob is invalid: spec.trainer: unknown field "numNodes"')),
        (r"unknown field .*\(422\)", r"compare its version"),
    ),
    Row(
        "429 with Retry-After",
        _with_faults(Fault("POST", JOBS_PATH, 429, "too many requests", headers={"Retry-After": "1"})),
        IS_WELL,
        fails=False,
    ),
    Row(
        "5xx for a while",
        _with_faults(
            Fault("POST", JOBS_PATH, 503, "apiserver is shutting down", times=2),
            Fault("GET", JOBS_PATH, 500, "etcdserver: leader changed", times=3),
            Fault("GET", PODS_PATH, 504, "timeout", times=3),
        ),
        IS_WELL,
        fails=False,
    ),
    Row(
        "connections break for a while",
        _with_faults(Fault("POST", JOBS_PATH, cut=0, times=2), Fault("GET", PODS_PATH, cut=0, times=3)),
        IS_WELL,
        fails=False,
    ),
    Row(
        "5xx for ever, at the creation",
        _with_faults(Fault("POST", JOBS_PATH, 503, "apiserver is shutting down", times=NEVER)),
        (r"did not answer for 1 s, asked to create .*apiserver is shutting down \(503\)", r"run the step again"),
        patience={"progress_seconds": 0.6, "request_seconds": 0.5},
    ),
    Row(
        "5xx for longer than is waited for, while it trains",
        _with_faults(Fault("GET", PODS_PATH, 503, "apiserver is shutting down", times=NEVER)),
        (r"did not answer for 1 s, asked to list the pods", r"goes on from its last checkpoint"),
        patience={"progress_seconds": 0.6},
    ),
    Row(
        "the creation is done and not answered",
        _with_faults(Fault("POST", JOBS_PATH, cut=1)),
        (r"gone on with", r"is complete"),
        fails=False,
    ),
    Row(
        "every watch drops",
        _with_faults(Fault("GET", PODS_PATH, what="watch", cut=0, times=NEVER)),
        IS_WELL,
        fails=False,
    ),
    Row("every watch stays silent", _silent_watches, IS_WELL, fails=False),
    Row(
        "every watch breaks off after a change",
        _with_faults(Fault("GET", PODS_PATH, what="watch", cut=1, times=NEVER)),
        IS_WELL,
        fails=False,
    ),
    Row("410 Gone", _versions_gone, IS_WELL, fails=False),
    Row(
        "the log breaks off", _breaks_the_log, tuple(rf"(?m)^» line {number}\.$" for number in (0, 7, 19)), fails=False
    ),
    Row(
        "a pod is evicted",
        _restarts(_evict),
        (r"node 1 was evicted: The node was low on resource: memory", r"start anew, for the first time", r"» 60%"),
        fails=False,
    ),
    Row(
        "a machine is lost",
        _restarts(_lose),
        (r"node 1 was lost with its machine: Taint manager", r"start anew", r"» 60%", r"is complete"),
        fails=False,
    ),
    Row(
        "a node runs out of memory once",
        _restarts(_out_of_memory),
        (r"node 1 ran out of memory \(OOMKilled\)", r"start anew", r"is complete"),
        fails=False,
    ),
    Row(
        "a failed pod is removed at once",
        _created(_removed_at_once),
        (r"node 1 ran out of memory \(OOMKilled\)", r"start anew", r"is complete"),
        fails=False,
    ),
    Row(
        "the job fails after its restarts",
        _created(_fails),
        (
            r"failed \(TrainJob .*ReachedMaxRestarts",
            r"(?s)last lines of node 1:.*Training diverged.*last lines of node 0",
        ),
    ),
    Row(
        "a node refuses its settings",
        _created(_refuses_settings),
        (r"node 1 refuses its settings", r"GANVAS_JOB is not valid"),
    ),
    Row(
        "the image cannot be pulled",
        _created(_cannot_pull),
        (r"Node 0 of .* cannot start: ImagePullBackOff: Back-off pulling image", r"event: .*Failed to pull image"),
    ),
    Row("a secret is missing", _created(_no_secret), (r"CreateContainerConfigError: secret .ganvas-s3. not found",)),
    Row(
        "no machine has room",
        _created(_no_room),
        (r"no sign of life for 1 s", r"node 0 waits for a machine: 0/3 nodes", r"FailedScheduling: .*Insufficient"),
        patience={"progress_seconds": 0.6},
    ),
    Row(
        "the pods' quota is used up",
        _created(_no_pods),
        (r"no sign of life", r"FailedCreate: .*exceeded quota"),
        patience={"progress_seconds": 0.6},
    ),
    Row(
        "a queue lets it wait",
        _created(_queued),
        (r"waits in a queue", *IS_WELL),
        fails=False,
        patience={"progress_seconds": 1.0},
    ),
    Row(
        "training hangs",
        _created(_silent),
        (r"showed no sign of life for 1 s", r"(?s)last lines of node 0:.*64 images"),
        patience={"progress_seconds": 0.6},
    ),
    Row(
        "training takes too long",
        _created(_for_ever),
        (r"did not end within 1 s", r"(?s)last lines of node 0:.*64 images"),
        patience={"total_seconds": 0.6},
    ),
    Row(
        "somebody else deletes it",
        _created(_deleted_by_another),
        (r"was deleted by somebody else", r"goes on from its last checkpoint"),
    ),
    Row("it ends without a result", _created(_no_result), (r"left no result", r"Check that they write to file://")),
    Row(
        "its deletion is refused",
        _with_faults(Fault("DELETE", JOBS_PATH, 403, "trainjobs is forbidden: cannot delete", times=NEVER)),
        (r"is complete", r"refused to delete", r"kubectl delete trainjob ganvas-\w+ -n kubeflow"),
        fails=False,
        left=("job",),
    ),
    Row(
        "its deletion hangs",
        _stuck_finalizer,
        (r"is complete", r"was deleted 1 s ago and is still there", r"kubectl delete trainjob"),
        fails=False,
        left=("job",),
        patience={"deletion_seconds": 0.6},
    ),
    Row(
        "SIGTERM while it trains",
        _created(_for_ever),
        (r"Training on 2 nodes was asked to stop; its checkpoints are in", r"go on"),
        terminated=r"GET follow .*/log$",
    ),
    Row(
        "SIGTERM while it is created",
        _with_faults(Fault("POST", JOBS_PATH, delay_seconds=0.7)),
        (r"was asked to stop",),
        terminated=r"POST plain .*/trainjobs",
    ),
    Row(
        "the run is terminated, and its engine hands no SIGTERM on",
        _created(_for_ever),
        (r"» TrainJob ganvas-\w+ was left in namespace kubeflow, and is deleted\. There is no MLflow server",),
        terminated=r"GET follow .*/log$",
        killed=True,
    ),
]
