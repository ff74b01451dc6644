"""Runs: started, and followed to their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipelines.remote.logs import log_of
from pipelines.remote.server import Server, identified
from pipelines.remote.states import FAILED, SUCCEEDED, Row, RunState, error_line, gate_failed, state_of
from pipelines.remote.uploads import Version
from pipelines.stages import CLUSTER_STAGES, PROMOTE

POLL_SECONDS = 5.0


@dataclass(frozen=True)
class End:
    """How a run ended, and why if not well."""

    state: str
    gate_failed: bool = False
    reason: str = ""


def start_run(
    server: Server, version: Version, experiment: str, name: str, arguments: Mapping[str, Any], service_account: str
) -> str:
    """Run a version in an experiment, which is made if it is missing; the run's id.

    Args:
        server: of Kubeflow Pipelines.
        version: of the graph.
        experiment: its name.
        name: of the run, as it is listed.
        arguments: for the graph's parameters; all others are as the version says.
        service_account: of the steps; empty for the server's default.

    Raises:
        GanvasError: if the server does not answer or refuses.
    """
    with server.explained():
        found = server.client.create_experiment(experiment, namespace=server.namespace)
        run = server.client.run_pipeline(
            found.experiment_id,
            name,
            params=dict(arguments),
            pipeline_id=version.pipeline_id,
            version_id=version.version_id,
            service_account=service_account or None,
        )
        return identified(run.run_id)


def look(server: Server, run_id: str) -> RunState:
    """A run as it is now.

    Raises:
        GanvasError: if the server does not answer or refuses.
    """
    with server.explained():
        return state_of(server.client.get_run(run_id), CLUSTER_STAGES, datetime.now(UTC))


def follow(
    server: Server, run_id: str, on_change: Callable[[RunState], None], *, poll_seconds: float = POLL_SECONDS
) -> End:
    """Wait for a run's end.

    Args:
        server: of Kubeflow Pipelines.
        run_id: of the run.
        on_change: is told of the run each time that it was looked at.
        poll_seconds: between two looks.

    Raises:
        GanvasError: if the server does not answer or refuses.
    """
    while True:
        now = look(server, run_id)
        on_change(now)
        if now.is_over:
            return _end(server, now)
        time.sleep(poll_seconds)


def _end(server: Server, run: RunState) -> End:
    if run.state == SUCCEEDED:
        return End(run.state)
    said, promotions_log = "", ""
    for row in run.rows:
        if row.state != FAILED:
            continue
        log = _telling_log(server, run, row)
        if row.task == PROMOTE.task:
            promotions_log = log
        why = error_line(log) or row.reason or ("failed; its log says why" if log else "failed, and no log is left")
        said = said or f"{row.title}: {why}"
    refused = gate_failed(run, promotions_log)
    if refused and not promotions_log:
        said += "; taken for the gate's no, as all before it succeeded"
    return End(run.state, refused, said or run.reason)


def _telling_log(server: Server, run: RunState, row: Row) -> str:
    """The newest log of a stage in which a step says what was wrong; else any; empty for none."""
    found = ""
    for node in reversed(row.nodes):
        log = log_of(server, run.run_id, node, run.created_on)
        if error_line(log):
            return log
        found = found or log
    return found
