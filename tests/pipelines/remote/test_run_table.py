"""A run on a cluster as a terminal shows it, and what is made of all that the server lists."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from typing import Any

import kfp_server_api
import pytest
from rich.console import Console

from pipelines.cli import run_table
from pipelines.remote.states import RunState, error_line, gate_failed, state_of
from pipelines.stages import CLUSTER_STAGES
from tests.pipelines.remote.fake import looking, task

NOW = datetime(2026, 1, 2, 3, 10, 5, tzinfo=UTC)


def looked(state: str, *tasks: dict[str, Any]) -> RunState:
    """As the client reads the server's answer."""
    answer = type("Answer", (), {"data": json.dumps(looking(state, *tasks) | {"run_id": "run-0"})})
    run = kfp_server_api.ApiClient().deserialize(answer, "V2beta1Run")
    return state_of(run, CLUSTER_STAGES, NOW)


def row(run: RunState, name: str) -> Any:
    return next(row for row in run.rows if row.task == name)


def test_a_terminal_gets_one_table_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(run_table, "PEOPLE", Console(file=screen, force_terminal=True, width=100))
    with run_table.shown_run() as show:
        show(looked("RUNNING", task("list-source", "RUNNING")))
        show(looked("RUNNING", task("list-source", "SUCCEEDED"), task("train-model", "RUNNING")))
    shown = screen.getvalue()
    assert "running" in shown
    assert "done" in shown
    assert "\x1b[1A" in shown, "the cursor goes back up"


def test_a_stage_that_is_going_on_counts_from_its_start() -> None:
    run = looked("RUNNING", task("train-model", "RUNNING"), task("list-source", "SUCCEEDED"))
    assert row(run, "train-model").seconds == 360
    assert row(run, "list-source").seconds == 60
    assert row(run, "promote-model").state == ""
    assert not run.is_over


def test_the_nodes_of_a_failed_stage_are_those_below_it() -> None:
    stage = task("train-model", "FAILED") | {"child_tasks": [{"task_id": "attempt"}]}
    attempt = task("executor", "FAILED", node="run-7", task_id="attempt")
    assert row(looked("FAILED", stage, attempt), "train-model").nodes == ("run-7",)


def test_the_pods_of_attempts_are_those_of_the_only_stage_that_failed() -> None:
    stage = task("train-model", "FAILED", node="run-7")
    attempts = task("executor", "FAILED", failed_pods=["run-retry-1", "run-retry-2"])
    assert row(looked("FAILED", stage, attempts), "train-model").nodes == ("run-7", "run-retry-1", "run-retry-2")
    other = task("fit-feature-extractor", "FAILED", node="run-8")
    assert row(looked("FAILED", stage, other, attempts), "train-model").nodes == ("run-7",), "nothing says whose"
    recovered = task("executor", "SUCCEEDED", failed_pods=["run-retry-3"])
    assert row(looked("FAILED", stage, recovered), "train-model").nodes == ("run-7",)


def test_a_loop_is_as_its_worst_share() -> None:
    shares = [task("read-source", state, task_id=state) for state in ("SUCCEEDED", "FAILED", "RUNNING")]
    loop = row(looked("RUNNING", *shares), "read-source")
    assert (loop.state, loop.done, loop.count) == ("FAILED", 2, 3)


@pytest.mark.parametrize(
    ("others", "log", "said_no"),
    [
        ([task("evaluate-model", "SUCCEEDED")], "error: 1 of 5 checks failed", True),
        ([task("evaluate-model", "SUCCEEDED")], "error: no room", False),
        ([task("evaluate-model", "SUCCEEDED")], "", True),
        ([], "", False),
    ],
)
def test_the_gate(others: list[dict[str, Any]], log: str, said_no: bool) -> None:
    assert gate_failed(looked("FAILED", *others, task("promote-model", "FAILED")), log) is said_no
    assert not gate_failed(looked("FAILED", *others, task("train-model", "FAILED")), log)


def test_the_last_line_for_people_is_the_reason() -> None:
    assert error_line("error: first\n  2026 error: second\nTraceback") == "second"
    assert error_line("nothing") == ""
