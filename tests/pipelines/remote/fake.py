"""A Kubeflow Pipelines server on loopback, its API server or its UI: the paths that ganvas uses, kept in memory.

It answers as the real one does: JSON with snake_case names, filters on ``display_name``, 404 and 409 with a message,
multipart uploads. The UI passes ``/apis/v1beta1`` and ``/apis/v2beta1`` on to the API server and nothing else of
``/apis``; it has a path of its own for logs (kubeflow/pipelines 2.17, ``frontend/server``). What becomes of a run is a
script of the test's.
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NOW = "2026-01-02T03:04:05Z"


@dataclass
class Request:
    """What a client asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Fake:
    """The server's memory, and what a test wants of it."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)
    experiments: list[dict[str, Any]] = field(default_factory=list)
    pipelines: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    schedules: list[dict[str, Any]] = field(default_factory=list)
    script: list[dict[str, Any]] = field(default_factory=list)
    """States of a run, one for each look; the last one stays."""
    logs: dict[str, str] = field(default_factory=dict)
    """By pod, as long as there is one."""
    archived: dict[str, str] = field(default_factory=dict)
    """Logs in the engine's store, by node."""
    is_ui: bool = True
    """Whether the address is the UI's, as a port-forward or an ingress leads there."""
    has_several_users: bool = False
    faults: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Status and body by a part of ``METHOD path``."""
    looks: int = 0

    def answer(self, asked: Request) -> tuple[int, Any]:
        self.requests.append(asked)
        for part, fault in self.faults.items():
            if part in f"{asked.method} {asked.path}":
                return fault
        passed_on = asked.path.startswith(("/apis/v1beta1/", API + "/")) or not self.is_ui
        routes = (UI_ROUTES if self.is_ui else []) + (ROUTES if passed_on else [])
        for pattern, handler in routes:
            match = re.fullmatch(pattern, f"{asked.method} {asked.path}")
            if match:
                return handler(self, asked, *match.groups())
        if self.is_ui:
            return 404, Page(f"<!DOCTYPE html><pre>Cannot {asked.method} {asked.path}</pre>")
        return 404, "404 page not found\n"

    def bodies(self, method: str, path: str) -> list[Any]:
        return [one.body for one in self.requests if (one.method, one.path) == (method, path)]


class Page(str):
    """What is for browsers."""


Answer = tuple[int, Any]


def _matching(found: list[dict[str, Any]], asked: Request) -> list[dict[str, Any]]:
    if "filter" not in asked.query:
        return found
    (predicate,) = json.loads(asked.query["filter"])["predicates"]
    assert predicate["key"] in ("display_name", "name"), predicate
    assert predicate["operation"] in ("EQUALS", 1), predicate
    return [one for one in found if one["display_name"] == predicate["stringValue"]]


def _health(fake: Fake, asked: Request) -> Answer:
    return 200, {"multi_user": fake.has_several_users}


def _list_experiments(fake: Fake, asked: Request) -> Answer:
    found = _matching(fake.experiments, asked)
    return 200, {"experiments": found, "total_size": len(found)}


def _create_experiment(fake: Fake, asked: Request) -> Answer:
    made = asked.body | {"experiment_id": f"experiment-{len(fake.experiments)}", "created_at": NOW}
    fake.experiments.append(made)
    return 200, made


def _list_pipelines(fake: Fake, asked: Request) -> Answer:
    found = _matching(fake.pipelines, asked)
    return 200, {"pipelines": found, "total_size": len(found)}


def _create_pipeline(fake: Fake, asked: Request) -> Answer:
    if any(one["display_name"] == asked.body["display_name"] for one in fake.pipelines):
        return 409, {"error": "Already exist error: the name already exists", "code": 6}
    made = asked.body | {"pipeline_id": f"pipeline-{len(fake.pipelines)}", "created_at": NOW}
    fake.pipelines.append(made)
    return 200, made


def _list_versions(fake: Fake, asked: Request, pipeline: str) -> Answer:
    found = [one for one in _matching(fake.versions, asked) if one["pipeline_id"] == pipeline]
    return 200, {"pipeline_versions": [{k: v for k, v in one.items() if k != "text"} for one in found]}


def _upload_version(fake: Fake, asked: Request) -> Answer:
    pipeline, name = asked.query["pipelineid"], asked.query["name"]
    if not any(one["pipeline_id"] == pipeline for one in fake.pipelines):
        return 404, {"error": f"Pipeline {pipeline} not found", "code": 5}
    if any(one["display_name"] == name for one in fake.versions):
        return 409, {"error": "Already exist error: the name already exists", "code": 6}
    made = {"pipeline_id": pipeline, "pipeline_version_id": f"version-{len(fake.versions)}", "display_name": name}
    fake.versions.append(made | {"text": asked.body["uploadfile"], "description": asked.query.get("description", "")})
    return 200, made


def _create_run(fake: Fake, asked: Request) -> Answer:
    reference = asked.body["pipeline_version_reference"]
    if not any(one["pipeline_version_id"] == reference["pipeline_version_id"] for one in fake.versions):
        return 404, {"error": "Pipeline version not found", "code": 5}
    made = asked.body | {"run_id": f"run-{len(fake.runs)}", "state": "PENDING", "created_at": NOW}
    fake.runs.append(made)
    return 200, made


def _get_run(fake: Fake, asked: Request, run_id: str) -> Answer:
    found = [one for one in fake.runs if one["run_id"] == run_id]
    if not found:
        return 404, {"error": f"Run {run_id} not found", "code": 5}
    step = fake.script[min(fake.looks, len(fake.script) - 1)] if fake.script else {"state": "SUCCEEDED"}
    fake.looks += 1
    return 200, found[0] | step


def _log(fake: Fake, asked: Request, run_id: str, pod: str) -> Answer:
    return (200, fake.logs[pod]) if pod in fake.logs else (500, {"error_message": "pod not found"})


def _log_of_ui(fake: Fake, asked: Request) -> Answer:
    if not asked.query.get("podname"):
        return 400, "podname argument is required"
    if fake.has_several_users and not asked.query.get("podnamespace"):
        return 422, "podnamespace argument is required"
    pod = asked.query["podname"]
    return (200, fake.logs[pod]) if pod in fake.logs else (500, "Could not get main container logs: Error")


def _archived_log(fake: Fake, asked: Request, run_id: str, node: str) -> Answer:
    if node not in fake.archived:
        return 404, {"error_message": f"Failed to read artifact: artifact main-logs of node {node} not found"}
    return 200, {"data": base64.b64encode(fake.archived[node].encode()).decode()}


def _create_schedule(fake: Fake, asked: Request) -> Answer:
    status = {"ENABLE": "ENABLED", "DISABLE": "DISABLED"}[asked.body["mode"]]
    made = asked.body | {"recurring_run_id": f"schedule-{len(fake.schedules)}", "status": status}
    fake.schedules.append(made)
    return 200, made


def _list_schedules(fake: Fake, asked: Request) -> Answer:
    """Two on a page, as a server with many would."""
    start = int(asked.query.get("page_token") or 0)
    more = {"next_page_token": str(start + 2)} if start + 2 < len(fake.schedules) else {}
    return 200, {"recurringRuns": fake.schedules[start : start + 2], "total_size": len(fake.schedules), **more}


def _change_schedule(fake: Fake, asked: Request, schedule: str, change: str) -> Answer:
    for one in fake.schedules:
        if one["recurring_run_id"] == schedule:
            one["status"] = {"enable": "ENABLED", "disable": "DISABLED"}[change]
    return 200, {}


def _delete_schedule(fake: Fake, asked: Request, schedule: str) -> Answer:
    fake.schedules = [one for one in fake.schedules if one["recurring_run_id"] != schedule]
    return 200, {}


API = "/apis/v2beta1"
ROUTES: list[tuple[str, Any]] = [
    (rf"GET {API}/healthz", _health),
    (rf"GET {API}/experiments", _list_experiments),
    (rf"POST {API}/experiments", _create_experiment),
    (rf"GET {API}/pipelines", _list_pipelines),
    (rf"POST {API}/pipelines", _create_pipeline),
    (rf"GET {API}/pipelines/([^/]+)/versions", _list_versions),
    (rf"POST {API}/pipelines/upload_version", _upload_version),
    (rf"POST {API}/runs", _create_run),
    (rf"GET {API}/runs/([^/:]+)", _get_run),
    (rf"GET {API}/runs/([^/]+)/nodes/([^/]+)/artifacts/main-logs:read", _archived_log),
    (r"GET /apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log", _log),
    (rf"GET {API}/recurringruns", _list_schedules),
    (rf"POST {API}/recurringruns", _create_schedule),
    (rf"POST {API}/recurringruns/([^/:]+):(enable|disable)", _change_schedule),
    (rf"DELETE {API}/recurringruns/([^/:]+)", _delete_schedule),
]


UI_ROUTES: list[tuple[str, Any]] = [("GET /k8s/pod/logs", _log_of_ui)]


def _body(content_type: str, raw: bytes) -> Any:
    if content_type.startswith("multipart/form-data"):
        message = email.message_from_bytes(
            b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + raw, policy=email.policy.HTTP
        )
        return {
            str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True).decode()  # type: ignore[union-attr]
            for part in message.iter_parts()  # type: ignore[attr-defined]
        }
    return json.loads(raw) if raw else None


def _content_type(answer: Any) -> str:
    if isinstance(answer, str):
        return "text/html; charset=utf-8" if isinstance(answer, Page) else "text/plain"
    return "application/json"


@contextmanager
def running_fake() -> Iterator[Fake]:
    """A server for the length of a block."""
    fake, lock = Fake(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Request(self.command, parts.path, query, headers, _body(headers.get("content-type", ""), raw))
            with lock:
                status, answer = fake.answer(asked)
            content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", _content_type(answer))
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def task(
    name: str,
    state: str,
    *,
    node: str = "",
    error: str = "",
    task_id: str = "",
    failed_pods: Sequence[str] = (),
) -> dict[str, Any]:
    """A task as a run lists it: ids lead nowhere, and what is called a child's pod is the id of the engine's node."""
    ended = state in ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
    return {
        "run_id": "run-0",
        "task_id": task_id or f"task-{name}",
        "display_name": name,
        "create_time": NOW,
        "start_time": NOW,
        "state": state,
        **({"end_time": "2026-01-02T03:05:05Z"} if ended else {}),
        **({"child_tasks": [{"pod_name": node}]} if node else {}),
        **({"executor_detail": {"failed_main_jobs": list(failed_pods)}} if failed_pods else {}),
        **({"error": {"code": 13, "message": error}} if error else {}),
    }


def looking(state: str, *tasks: dict[str, Any]) -> dict[str, Any]:
    """A run at one look."""
    return {"state": state, "run_details": {"task_details": list(tasks)}}
