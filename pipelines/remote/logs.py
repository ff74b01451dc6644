"""What a run's pods printed, by whichever of the server's addresses gives it.

The API lists no task's output and no reason of a failure, and for a task's children the engine's node ids, which are
no pods (kubeflow/pipelines 2.17, ``backend/src/apiserver/server/api_converter.go`` and
``backend/src/common/util/workflow.go``). Three addresses lead to a log:

- ``/apis/v2beta1/runs/RUN/nodes/NODE/artifacts/main-logs:read``: the archived one, which outlives the pod, by the
  API server and by the UI, which passes on ``/apis/v1beta1`` and ``/apis/v2beta1`` alone. Takes node ids.
- ``/k8s/pod/logs?podname=&runid=&podnamespace=&createdat=``: the UI's own (``frontend/server/app.ts``). Takes pods.
- ``/apis/v1alpha1/runs/RUN/nodes/POD/log``: the API server's own, which the UI does not pass on. Takes pods.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from pipelines.remote.server import Server

TEMPLATES = ("system-container-impl", "retry-system-container-impl")
"""The engine's templates of a step's container; the second where it is tried again."""
ARCHIVED = "/apis/v2beta1/runs/{run_id}/nodes/{node_id}/artifacts/main-logs:read"
OF_UI = "/k8s/pod/logs"
OF_API_SERVER = "/apis/v1alpha1/runs/{run_id}/nodes/{node_id}/log"


def pods_of(node: str) -> list[str]:
    """Pods that a node may be: ``WORKFLOW-HASH`` runs as ``WORKFLOW-TEMPLATE-HASH``.

    Args:
        node: a node's id, or already a pod.
    """
    workflow, _, digits = node.rpartition("-")
    if TEMPLATES[0] in node or not workflow:
        return [node]
    return [*(f"{workflow}-{template}-{digits}" for template in TEMPLATES), node]


def log_of(server: Server, run_id: str, node: str, created_on: str = "") -> str:
    """What a node of a run printed; empty where the server does not say.

    A log is a courtesy: pods are removed, some servers keep none, some users may not read them. Nothing is raised.

    Args:
        server: of Kubeflow Pipelines, by its UI's address or its API server's.
        run_id: of the run.
        node: a node's id or a pod, as the run lists it.
        created_on: day of the run, YYYY-MM-DD: part of the archive's paths.
    """
    if text := _archived(_asked(server, ARCHIVED, {"run_id": run_id, "node_id": node})):
        return text
    about = {"runid": run_id, "podnamespace": server.namespace, "createdat": created_on}
    for pod in pods_of(node):
        query = [("podname", pod), *((name, value) for name, value in about.items() if value)]
        if text := _asked(server, OF_UI, {}, query):
            return text
    for pod in pods_of(node):
        if text := _asked(server, OF_API_SERVER, {"run_id": run_id, "node_id": pod}):
            return text
    return ""


def _asked(server: Server, path: str, places: dict[str, str], query: list[tuple[str, str]] | None = None) -> str:
    try:
        answer: Any = server.client._run_api.api_client.call_api(
            path,
            "GET",
            places,
            query or [],
            header_params={"Accept": "text/plain, application/json"},
            auth_settings=["Bearer"],
            _preload_content=False,
            _return_http_data_only=True,
        )
        text = str(answer.data.decode(errors="replace"))  # read in any case: the connection is used again
        # A proxy before the server answers what it does not let through by a page to log in at.
        is_page = re.match(r"text/html\b", answer.headers.get("Content-Type") or "")
        return "" if is_page else text
    except Exception:  # whatever the client's HTTP layers raise
        return ""


def _archived(text: str) -> str:
    try:
        return base64.b64decode(json.loads(text)["data"]).decode(errors="replace")
    except (ValueError, KeyError, TypeError):
        return ""
