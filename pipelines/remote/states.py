"""A run as a person follows it: one row a stage, out of all that the server lists."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from components.step import ERROR_MARK
from pipelines.stages import EVALUATE, PROMOTE, Stage

SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"
ENDED = (SUCCEEDED, FAILED, "CANCELED", "SKIPPED")
ORDER = (FAILED, "CANCELED", "CANCELING", "RUNNING", "PAUSED", "PENDING", SUCCEEDED, "SKIPPED")
"""What a group of tasks is when its members differ: the first of these that one of them is."""
GATE_SAID_NO = re.compile(r"\d+ of \d+ checks failed")


@dataclass(frozen=True)
class Row:
    """A stage of a run. ``state`` is empty before it began; ``done`` of ``count`` tasks of a loop have ended.

    ``nodes`` are its failed attempts, oldest first: the engine's nodes, or pods where the server names those.
    """

    task: str
    title: str
    state: str = ""
    seconds: float | None = None
    done: int = 0
    count: int = 0
    reason: str = ""
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunState:
    """A run at a moment. ``created_on`` is the day of its beginning, YYYY-MM-DD; empty where the server says none."""

    run_id: str
    state: str
    rows: tuple[Row, ...]
    reason: str = ""
    created_on: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will change."""
        return self.state in ENDED


def state_of(run: Any, stages: Iterable[Stage], now: datetime) -> RunState:
    """A run as ``kfp.Client.get_run`` returns it, by stages.

    The server lists drivers, groups and retries as tasks as well; what carries a stage's name is the stage.

    Args:
        run: a V2beta1Run.
        stages: of its graph.
        now: with a time zone, for stages that are going on.
    """
    details = list((run.run_details.task_details if run.run_details else None) or [])
    by_id = {str(detail.task_id): detail for detail in details}
    rows = []
    for stage in stages:
        names = (stage.task, stage.title.lower())
        found = [detail for detail in details if str(detail.display_name or "").lower() in names]
        rows.append(_row(stage, found, by_id, now))
    reason = str(run.error.message) if run.error and run.error.message else ""
    created_on = run.created_at.strftime("%Y-%m-%d") if run.created_at else ""
    return RunState(str(run.run_id), str(run.state or "PENDING"), _with_attempts(rows, details), reason, created_on)


def _with_attempts(rows: list[Row], details: list[Any]) -> tuple[Row, ...]:
    """The rows; where one stage failed, also the pods that its attempts ran in.

    The server tells those with tasks that it names after no stage, and nothing leads from one to the other.
    """
    failed = [row for row in rows if row.state == FAILED]
    executors = [detail.executor_detail for detail in details if detail.state == FAILED and detail.executor_detail]
    attempts = [str(pod) for executor in executors for pod in executor.failed_main_jobs or []]
    if len(failed) != 1 or not attempts:
        return tuple(rows)
    nodes = tuple(dict.fromkeys([*failed[0].nodes, *attempts]))
    return tuple(replace(row, nodes=nodes) if row is failed[0] else row for row in rows)


def _row(stage: Stage, found: list[Any], by_id: Mapping[str, Any], now: datetime) -> Row:
    if not found:
        return Row(stage.task, stage.title)
    states = [str(detail.state or "PENDING") for detail in found]
    state = next((state for state in ORDER if state in states), states[0])
    starts = [detail.start_time or detail.create_time for detail in found if detail.start_time or detail.create_time]
    ends = [detail.end_time for detail in found if detail.end_time]
    seconds = None
    if starts:
        end = max(ends) if ends and state in ENDED else now
        seconds = max(0.0, (end - min(starts)).total_seconds())
    failed = [detail for detail in found if detail.state == FAILED]
    reasons = [str(detail.error.message) for detail in failed if detail.error and detail.error.message]
    nodes = [node for detail in failed for node in _nodes(detail, by_id)]
    done = sum(one in ENDED for one in states)
    return Row(stage.task, stage.title, state, seconds, done, len(found), " ".join(reasons), tuple(nodes))


def _nodes(detail: Any, by_id: Mapping[str, Any]) -> list[str]:
    """Nodes of a task, its own and its children's, newest last."""
    own = [str(detail.pod_name)] if detail.pod_name else []
    for child in detail.child_tasks or []:
        # The engine's node id, whatever the field is called.
        if child.pod_name:
            own.append(str(child.pod_name))
        deeper = by_id.get(str(child.task_id)) if child.task_id else None
        if deeper is not None and deeper is not detail:
            own += _nodes(deeper, by_id)
    return list(dict.fromkeys(own))


def error_line(log: str) -> str:
    """The last line that a step printed for people before it failed; empty if there is none."""
    lines = [line.partition(ERROR_MARK)[2].strip() for line in log.splitlines() if ERROR_MARK in line]
    said = [line for line in lines if line]
    return said[-1] if said else ""


def gate_failed(run: RunState, log: str) -> bool:
    """Whether a run failed because the gate said no.

    Promotion's log says so. Where no log is left: promotion was the only step to fail, after evaluation's success.

    Args:
        run: that has ended.
        log: of promotion; empty where there is none.
    """
    states = {row.task: row.state for row in run.rows}
    if states.get(PROMOTE.task) != FAILED:
        return False
    if log:
        return bool(GATE_SAID_NO.search(log))
    others = [state for task, state in states.items() if task != PROMOTE.task]
    return states.get(EVALUATE.task) in (SUCCEEDED, "SKIPPED") and FAILED not in others
