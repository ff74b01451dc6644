"""A Kubernetes API server for the launcher's tests: real HTTP on loopback, with TrainJobs, pods, events and logs.

It does what the API does with these: names are unique, every change has a resource version, a watch starts at one and
answers 410 for those that are too old, a foreground deletion takes the pods first, logs are followed, and only what the
committed role allows is done. What a cluster's controllers would do is the tests' to play, by the methods without an
underscore. Faults are scripted: a request that matches one is answered by it, as often as it says.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.components.launch.rights import Right, given_rights, right_to

NAMESPACE = "kubeflow"
JOB_LABEL = "jobset.sigs.k8s.io/jobset-name"
JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/"
KINDS = {
    403: "Forbidden",
    404: "NotFound",
    409: "AlreadyExists",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
}


@dataclass
class Fault:
    """What a request gets instead of its answer.

    ``method`` and ``path`` (a regular expression) say which requests; ``what`` tells watches and logs from the rest.
    ``cut`` lets the connection break: at 0 before anything is done, above it of a stream after that many lines, of a
    creation before its answer.
    """

    method: str
    path: str
    status: int = 0
    message: str = ""
    times: int = 1
    what: str = "plain"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    delay_seconds: float = 0.0


class FakeCluster:
    """What the server knows, and how the tests play a cluster."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.logs: dict[str, list[str]] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.rights: set[Right] = set()
        self.sent: list[dict[str, Any]] = []
        self.deletions: list[dict[str, Any]] = []
        self.answered: list[str] = []
        self.deletion_seconds = 0.05
        self.watch_seconds = 0.05
        """The longest watch, whatever is asked for; what is asked for is whole seconds."""
        self.on_created: Callable[[str], None] = lambda name: None
        self.url = ""
        self._version = 100
        self._oldest = 0
        self._watched_from = 0
        self._history: list[tuple[int, str, dict[str, Any]]] = []
        self._playing: list[threading.Thread] = []
        self.failures: list[BaseException] = []

    # -- what a cluster's controllers do

    def add_pod(self, job: str, index: int, *, attempt: int = 0, **status: Any) -> str:
        """A node's pod, pending; its name."""
        name = f"{job}-node-0-{index}-{uuid.uuid4().hex[:5]}"
        labels = {
            JOB_LABEL: job,
            "jobset.sigs.k8s.io/restart-attempt": str(attempt),
            "batch.kubernetes.io/job-completion-index": str(index),
        }
        with self.changed:
            self.pods[name] = {
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
                "spec": {"containers": [{"name": "node"}]},
                "status": {"phase": "Pending", **status},
            }
            self.logs[name] = []
            self._record("ADDED", self.pods[name])
        return name

    def run_pods(self, job: str, count: int = 2, *, attempt: int = 0) -> list[str]:
        """Pods of all nodes, running."""
        names = [self.add_pod(job, index, attempt=attempt) for index in range(count)]
        for number, name in enumerate(names):
            self.set_pod(name, "Running", {"running": {}}, machine=f"machine-{number}")
        return names

    def set_pod(
        self, name: str, phase: str, state: dict[str, Any] | None = None, machine: str = "", **more: Any
    ) -> None:
        """A pod's phase and its container's state."""
        with self.changed:
            pod = self.pods[name]
            pod["status"] = {"phase": phase, **more}
            if state is not None:
                pod["status"]["containerStatuses"] = [{"name": "node", "ready": phase == "Running", "state": state}]
            if machine:
                pod["spec"]["nodeName"] = machine
            self._record("MODIFIED", pod)

    def fail_pod(self, name: str, code: int = 1, **more: Any) -> None:
        """A container that ended."""
        finished = {"exitCode": code, "finishedAt": _now(), **more}
        self.set_pod(name, "Failed" if code else "Succeeded", {"terminated": finished})

    def remove_pods(self, job: str) -> None:
        """As a JobSet that starts anew does."""
        with self.changed:
            for name in [name for name in self.pods if name.startswith(f"{job}-")]:
                self._record("DELETED", self.pods[name])
                del self.pods[name], self.logs[name]

    def write_log(self, pod: str, *lines: str) -> None:
        """Lines that a node writes."""
        with self.changed:
            for line in lines:
                self.logs[pod].append(f"{time.time_ns():020d} {line}")
            self.changed.notify_all()

    def warn(self, about: str, reason: str, message: str) -> None:
        """A warning event."""
        with self.changed:
            self.events.append(
                {
                    "metadata": {"name": uuid.uuid4().hex, "namespace": NAMESPACE},
                    "involvedObject": {"name": about},
                    "type": "Warning",
                    "reason": reason,
                    "message": message,
                    "lastTimestamp": _now(),
                }
            )

    def end_job(self, name: str, kind: str, reason: str, message: str, status: str = "True") -> None:
        """A TrainJob's last condition."""
        with self.changed:
            condition = {"type": kind, "status": status, "reason": reason, "message": message}
            self.jobs[name]["status"] = {"conditions": [condition]}
            self._record("MODIFIED", self.jobs[name])

    def put_job(self, body: dict[str, Any]) -> dict[str, Any]:
        """A TrainJob that is there."""
        with self.changed:
            metadata = {
                **body["metadata"],
                "namespace": NAMESPACE,
                "uid": str(uuid.uuid4()),
                "creationTimestamp": _now(),
            }
            job = {**body, "metadata": metadata}
            self.jobs[metadata["name"]] = job
            self._record("ADDED", job)
            return job

    def remove_job(self, name: str) -> None:
        """Gone at once, with its pods."""
        with self.changed:
            self.remove_pods(name)
            job = self.jobs.pop(name, None)
            if job:
                self._record("DELETED", job)

    def forget_versions(self) -> None:
        """Watches of earlier versions are answered 410 from now on, as after a compaction."""
        with self.changed:
            self._version += 10
            self._oldest = self._version

    def wait_for_looks(self) -> None:
        """Until the launcher has looked at all pods as they are now: it has asked what changes after them."""
        with self.changed:
            last = max((version for version, _, changed in self._history if _job_of(changed)), default=0)
            newest = max(last, self._oldest)
            self.changed.wait_for(lambda: self._watched_from >= newest, 20.0)

    def watched(self, version: int) -> None:
        """A watch of the pods begins at this version."""
        with self.changed:
            self._watched_from = max(self._watched_from, version)
            self.changed.notify_all()

    def left(self) -> list[str]:
        """What is on the server."""
        return [*self.jobs, *self.pods]

    # -- the server's side

    def play(self, name: str) -> None:
        def run() -> None:
            try:
                self.on_created(name)
            except KeyError:
                pass  # what was played on is deleted
            except BaseException as error:
                self.failures.append(error)

        thread = threading.Thread(target=run, daemon=True)
        self._playing.append(thread)
        thread.start()

    def _record(self, kind: str, changed: dict[str, Any]) -> None:
        self._version += 1
        changed["metadata"]["resourceVersion"] = str(self._version)
        self._history.append((self._version, kind, json.loads(json.dumps(changed))))
        self.changed.notify_all()

    def delete(self, name: str, uid: str | None) -> int:
        with self.changed:
            job = self.jobs.get(name)
            if job is None:
                return 404
            if uid and uid != job["metadata"]["uid"]:
                return 409
            if "deletionTimestamp" not in job["metadata"]:
                job["metadata"] |= {"deletionTimestamp": _now(), "finalizers": ["foregroundDeletion"]}
                self._record("MODIFIED", job)
                timer = threading.Timer(self.deletion_seconds, self.remove_job, [name])
                timer.daemon = True
                timer.start()
            return 200

    def pods_of(self, label: str, wanted: str) -> dict[str, Any]:
        with self.changed:
            found = [pod for pod in self.pods.values() if pod["metadata"]["labels"].get(label) == wanted]
            version = {"resourceVersion": str(self._version)}
            return {"kind": "PodList", "apiVersion": "v1", "metadata": version, "items": json.loads(json.dumps(found))}

    def changes_after(self, version: int, label: str, wanted: str, seconds: float) -> Iterator[dict[str, Any] | None]:
        """Events of a watch of pods; None, once, where the version is gone."""
        deadline = time.monotonic() + min(seconds, self.watch_seconds)
        while True:
            with self.changed:
                if version < self._oldest:
                    yield None
                    return
                later = [entry for entry in self._history if entry[0] > version and "status" in entry[2]]
                new = [entry for entry in later if (entry[2]["metadata"].get("labels") or {}).get(label) == wanted]
                if not new:
                    if time.monotonic() >= deadline:
                        return
                    self.changed.wait(min(0.05, deadline - time.monotonic()))
                    continue
            for number, kind, pod in new:
                version = number
                yield {"type": kind, "object": pod}

    def log_lines(self, pod: str, start: int, *, follow: bool) -> Iterator[str]:
        while True:
            with self.changed:
                lines = self.logs.get(pod)
                ended = lines is None or self.pods[pod]["status"]["phase"] in ("Succeeded", "Failed")
                new = (lines or [])[start:]
                if not new and (ended or not follow):
                    return
                if not new:
                    self.changed.wait(0.05)
            for line in new:
                start += 1
                yield line


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    cluster: FakeCluster

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        what = "watch" if query.get("watch") else "follow" if query.get("follow") == "True" else "plain"
        asked = f"{self.command} {what} {parts.path}"
        self.cluster.requests.append(asked)
        right = right_to(self.command, parts.path, watch=what == "watch")
        self.cluster.rights.add(right)
        if right not in given_rights():
            self._status(403, f"{right[1]} is forbidden: cannot {right[2]}")
            return
        if what == "watch":
            self.cluster.watched(int(query["resourceVersion"]))
        fault = self._fault(parts.path, what)
        if fault is not None:
            time.sleep(fault.delay_seconds)
            if fault.cut == 0:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            if fault.status:
                self._status(fault.status, fault.message, fault.headers)
                return
        self.cluster.answered.append(asked)
        cut = fault.cut if fault else None
        if parts.path.startswith(JOBS):
            self._jobs(parts.path.removeprefix(JOBS).split("/")[2:], query, body, cut)
        else:
            self._core(parts.path.split("/")[5:], query, cut)

    def _fault(self, path: str, what: str) -> Fault | None:
        with self.cluster.changed:
            for fault in self.cluster.faults:
                matches = (self.command, what) == (fault.method, fault.what) and re.search(fault.path, path)
                if matches and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def _jobs(self, rest: list[str], query: dict[str, str], body: dict[str, Any], cut: int | None) -> None:
        cluster = self.cluster
        if self.command == "POST":
            name = body["metadata"]["name"]
            cluster.sent.append(body)
            with cluster.changed:
                if name in cluster.jobs:
                    self._status(409, f'trainjobs.trainer.kubeflow.org "{name}" already exists')
                    return
                job = cluster.put_job(body)
            cluster.play(name)
            if cut is not None:
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            self._json(201, job)
        elif self.command == "DELETE":
            cluster.deletions.append(body)
            uid = ((body or {}).get("preconditions") or {}).get("uid")
            status = cluster.delete(rest[0], uid)
            self._json(200, {"kind": "Status"}) if status == 200 else self._status(status, f'"{rest[0]}" not found')
        elif not rest:
            with cluster.changed:
                items = [json.loads(json.dumps(job)) for job in cluster.jobs.values() if _selected(job, query)]
            self._json(200, {"kind": "TrainJobList", "metadata": {}, "items": items})
        else:
            with cluster.changed:
                job = json.loads(json.dumps(cluster.jobs.get(rest[0])))
            self._json(200, job) if job else self._status(404, f'trainjobs.trainer.kubeflow.org "{rest[0]}" not found')

    def _core(self, rest: list[str], query: dict[str, str], cut: int | None) -> None:
        cluster = self.cluster
        if rest[-1] == "log":
            pod = rest[1]
            if pod not in cluster.logs:
                self._status(404, f'pods "{pod}" not found')
                return
            with cluster.changed:
                lines = list(cluster.logs[pod])
            start = max(0, len(lines) - int(query["tailLines"])) if "tailLines" in query else 0
            stamped = cluster.log_lines(pod, start, follow=query.get("follow") == "True")
            shown = query.get("timestamps") == "True"
            self._stream((_stamped(line) if shown else line.partition(" ")[2] for line in stamped), cut)
        elif rest[0] == "pods":
            label, _, wanted = query["labelSelector"].partition("=")
            if not query.get("watch"):
                self._json(200, cluster.pods_of(label, wanted))
                return
            changes = cluster.changes_after(
                int(query["resourceVersion"]), label, wanted, float(query["timeoutSeconds"])
            )
            expired = {"code": 410, "reason": "Expired", "message": "too old resource version"}
            gone = {"type": "ERROR", "object": expired}
            self._stream((json.dumps(gone if change is None else change) for change in changes), cut)
        else:
            name = query["fieldSelector"].removeprefix("involvedObject.name=")
            with cluster.changed:
                about = [event for event in cluster.events if event["involvedObject"]["name"] == name]
                self._json(200, {"kind": "EventList", "apiVersion": "v1", "metadata": {}, "items": about})

    def _status(self, code: int, message: str, headers: dict[str, str] | None = None) -> None:
        status = {
            "kind": "Status",
            "status": "Failure",
            "code": code,
            "message": message,
            "reason": KINDS.get(code, ""),
        }
        self._json(code, status, headers)

    def _json(self, code: int, document: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(document).encode()
        try:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True

    def _stream(self, lines: Iterator[str], cut: int | None) -> None:
        """Line by line as they come; broken off in the middle where ``cut`` says."""
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number, line in enumerate(lines):
                if cut is not None and number >= cut:
                    self.close_connection = True
                    return
                content = f"{line}\n".encode()
                self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is killed resets its connections: that is what is tested."""


@contextmanager
def fake_cluster(kubeconfig: Path) -> Iterator[FakeCluster]:
    """A running server, and a kubeconfig that leads to it."""
    cluster = FakeCluster()
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    cluster.url = f"http://127.0.0.1:{server.server_address[1]}"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "fake",
                "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake", "namespace": NAMESPACE}}],
                "clusters": [{"name": "fake", "cluster": {"server": cluster.url}}],
                "users": [{"name": "fake", "user": {"token": "fake"}}],
            }
        )
    )
    try:
        yield cluster
    finally:
        server.shutdown()
        server.server_close()
    if cluster.failures:
        raise cluster.failures[0]


def _selected(thing: dict[str, Any], query: dict[str, str]) -> bool:
    """Whether it carries every label that is asked for."""
    labels = thing["metadata"].get("labels") or {}
    asked = [one.partition("=") for one in query.get("labelSelector", "").split(",") if one]
    return all(labels.get(key) == value for key, _, value in asked)


def _job_of(document: dict[str, Any]) -> str:
    """The TrainJob that a pod belongs to; empty for what is no pod."""
    return str((document["metadata"].get("labels") or {}).get(JOB_LABEL, ""))


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _stamped(line: str) -> str:
    """A line with its time as the kubelet writes it."""
    nanoseconds, _, text = line.partition(" ")
    seconds, fraction = divmod(int(nanoseconds), 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z {text}"
