"""A TrainJob while it trains: watched, told of, and explained where it fails."""

from __future__ import annotations

import time
from typing import Any

from components.launch.lifecycle import TrainJob
from components.launch.log import TAIL_LINES, NodeLog
from components.launch.reading import (
    PERMANENT_EXIT_CODE,
    Ended,
    Node,
    ended,
    first_failed,
    is_suspended,
    newest_attempt,
    node_of,
    signs_of_life,
)
from components.step import say
from models.errors import ClusterError, TrainingError

EXPLAINED_NODES = 4
SHOWN_EVENTS = 6
WAITING_NODES_ASKED = 8
"""Nodes whose events are read at a look: of thousands that wait, these say why."""


class Watcher:
    """Looks at a TrainJob, its nodes and their logs until it ends."""

    def __init__(self, job: TrainJob) -> None:
        self._job, self._api, self._patience = job, job.api, job.patience
        self._log = NodeLog(job.api, job.patience.first_pause_seconds)
        self._told: set[str] = set()
        self._warnings: list[str] = []
        self._troubles: dict[str, str] = {}
        self._blocked_since: dict[str, float] = {}
        self._pods: dict[str, Node] = {}
        self._version = ""
        self._attempt = 0
        self._life: object = None
        self._life_at = time.monotonic()
        self._deadline = time.monotonic() + job.patience.total_seconds - job.seconds_before

    def wait(self) -> None:
        """Return when it has succeeded.

        Raises:
            TrainingError: if it failed, took too long or showed no sign of life; with what cluster and nodes say.
            ClusterError: if it was deleted, its containers cannot start, or the API does not answer.
        """
        try:
            while (state := self._look()) is None:
                pass
            self._log.finish()
        finally:
            self._log.abandon()
        if not state.succeeded:
            raise TrainingError(
                f"Training on {self._job.nodes} nodes failed ({self._job.where}): {state.words}.",
                self._explained("Mend what the nodes say below, and run it again."),
            )
        say(f"{self._job.where} is complete.")

    def _look(self) -> Ended | None:
        """One look at everything, and then a while until something changes."""
        self._job.termination.check()
        job = self._api.get(self._job.name)
        if job is None or job["metadata"].get("deletionTimestamp"):
            raise ClusterError(
                f"{self._job.where} was deleted by somebody else while it trained.",
                self._explained("Run the step again: training goes on from its last checkpoint."),
            )
        state = ended(job)
        if state is not None or not self._version:  # at the end nothing may be missing
            pods, self._version = self._api.pods(self._job.name)
            self._pods = {}
            for pod in pods:
                self._see("ADDED", pod)
        self._survey()
        if state is not None:
            return state
        self._require_life(job)
        # Where nodes have ended, the job's own end is near; it is not in what is watched.
        some_ended = any(node.phase in ("Succeeded", "Failed") for node in self._pods.values())
        seconds = self._patience.first_pause_seconds if some_ended else self._patience.tick_seconds
        self._version = self._api.watch_pods(self._job.name, self._version, seconds, self._see)
        return None

    def _see(self, kind: str, pod: dict[str, Any]) -> bool:
        """Take in a change; whether it is one to look at once. A pod's trouble is often followed by its removal."""
        node = node_of(pod)
        if node.trouble and node.pod not in self._troubles:
            self._troubles[node.pod] = f"node {node.index} {node.trouble}"
        if kind == "DELETED":
            self._pods.pop(node.pod, None)
            return True
        known = self._pods.get(node.pod)
        self._pods[node.pod] = node
        return known is None or (known.phase, known.started) != (node.phase, node.started)

    def _survey(self) -> None:
        """Tell what changed among the nodes; end early what cannot get better.

        Raises:
            ClusterError: if a container cannot start.
            TrainingError: if a node says that its settings are wrong.
        """
        nodes = newest_attempt(self._pods.values())
        for pod, trouble in self._troubles.items():
            self._say_once(f"{trouble}.", key=pod)
        attempt = max((node.attempt for node in nodes), default=self._attempt)
        if attempt > self._attempt:
            self._attempt = attempt
            say(f"All nodes start anew, for the {_ordinal(attempt)} time: training goes on from its last checkpoint.")
        running = [node for node in nodes if node.phase == "Running"]
        if len(running) == self._job.nodes:
            machines = ", ".join(sorted({node.machine for node in running if node.machine}))
            self._say_once(
                f"{self._job.nodes} nodes are running{f' on {machines}' if machines else ''}.", key=f"running {attempt}"
            )
        first = next((node for node in nodes if node.index == 0), None)
        if first is not None and first.started:
            self._log.follow(first.pod)
        if len(running) + sum(node.phase == "Succeeded" for node in nodes) < self._job.nodes:
            self._read_warnings(nodes)
        for node in nodes:
            if node.waits:
                self._say_once(f"node {node.index} waits for a machine: {node.waits}.")
            if node.exit_code == PERMANENT_EXIT_CODE:
                raise TrainingError(
                    f"Training on {self._job.nodes} nodes cannot start ({self._job.where}): "
                    f"node {node.index} refuses its settings.",
                    self._explained("Mend what it says below, and run it again."),
                )
        self._require_able(nodes)

    def _require_able(self, nodes: list[Node]) -> None:
        """End early where a container cannot start, once that has lasted."""
        now = time.monotonic()
        blocked = {node.pod: node for node in nodes if node.blocked}
        self._blocked_since = {pod: self._blocked_since.get(pod, now) for pod in blocked}
        for pod, since in self._blocked_since.items():
            node = blocked[pod]
            self._say_once(f"node {node.index} cannot start: {node.blocked}.", key=f"blocked {pod}")
            if now - since >= self._patience.stuck_seconds:
                raise ClusterError(
                    f"Node {node.index} of {self._job.where} cannot start: {node.blocked}.",
                    self._explained(
                        "Check the image's name, that the cluster can pull it, and that its secrets exist."
                    ),
                )

    def _require_life(self, job: dict[str, Any]) -> None:
        now = time.monotonic()
        life = signs_of_life(job, self._pods.values())
        if is_suspended(job):
            self._say_once(f"{self._job.where} waits in a queue.")
        if life != self._life or is_suspended(job):  # a queue may take its time
            self._life, self._life_at = life, now
        if now > self._deadline:
            raise TrainingError(
                f"Training on {self._job.nodes} nodes did not end within {self._patience.total_seconds:,.0f} s "
                f"({self._job.where}).",
                self._explained("Allow more time, or run it again: it goes on from its last checkpoint."),
            )
        silent = now - max(self._life_at, self._log.last_line_at)
        if silent > self._patience.progress_seconds:
            raise TrainingError(
                f"Training on {self._job.nodes} nodes showed no sign of life for {silent:,.0f} s ({self._job.where}).",
                self._explained("See what the nodes wait for, or allow more time between two lines of the log."),
            )

    def _read_warnings(self, nodes: list[Node]) -> None:
        """What the cluster says of the job, and of nodes that do not run; each once."""
        waiting = [node.pod for node in nodes if node.phase in ("Pending", "Failed", "Unknown")]
        for name in (self._job.name, f"{self._job.name}-node-0", *waiting[:WAITING_NODES_ASKED]):
            for warning in self._api.warnings(name):
                line = f"{name.removeprefix(f'{self._job.name}-')}: {warning}"
                if line not in self._warnings:
                    self._warnings.append(line)
                    say(f"event: {line}")

    def _explained(self, remedy: str) -> str:
        """A remedy, and below it, line by line, what the cluster and the nodes say."""
        nodes = newest_attempt(self._pods.values())
        self._read_warnings(nodes)
        lines = [*self._troubles.values()]
        lines += [f"event: {warning}" for warning in self._warnings[-SHOWN_EVENTS:]]
        failed = [node for node in first_failed(nodes) if node.started][:EXPLAINED_NODES]
        for node in failed:
            tail = self._api.log_tail(node.pod, TAIL_LINES)
            if tail:
                lines += [f"last lines of node {node.index}:", *(f"  {line}" for line in tail)]
        if not failed:
            self._log.finish()
            if self._log.tail:
                lines += ["last lines of node 0:", *(f"  {line}" for line in self._log.tail)]
        return "\n".join([remedy, *(f"  {line}" for line in lines)])

    def _say_once(self, line: str, key: str = "") -> None:
        if (key or line) not in self._told:
            self._told.add(key or line)
            say(line)


def _ordinal(number: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(number, f"{number}th")
