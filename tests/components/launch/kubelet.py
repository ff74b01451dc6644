"""Plays the cluster under the fake API server with real processes: Trainer's variables, JobSet's restarts."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.components.launch.fake_api import FakeCluster

MAX_RESTARTS = 3


@dataclass
class Kubelet:
    """Starts a TrainJob's nodes as processes, and all of them anew when one fails.

    Attributes:
        cluster: whose pods and logs the nodes get.
        environment: of every node, besides what the TrainJob says.
        prefixes: what stands before a node's command, such as ``ip netns exec``.
        address: of the first node.
        secrets: the values behind ``valueFrom``.
        killed: told of each line of the first node's log; where it says so the second node's worker is killed, once.
    """

    cluster: FakeCluster
    environment: dict[str, str]
    prefixes: Sequence[Sequence[str]] = ((), ())
    address: str = "127.0.0.1"
    secrets: dict[str, str] = field(default_factory=dict)
    killed: Callable[[str], bool] = lambda line: False
    attempts: int = 0
    kills: list[str] = field(default_factory=list)

    def play(self, name: str) -> None:
        """What the cluster does when a TrainJob is created."""
        trainer = self.cluster.jobs[name]["spec"]["trainer"]
        for attempt in range(MAX_RESTARTS + 1):
            self.attempts += 1
            if self._attempt(name, trainer, attempt):
                self.cluster.end_job(name, "Complete", "AllJobsCompleted", "jobset completed successfully")
                return
            if name not in self.cluster.jobs:
                return
            if attempt < MAX_RESTARTS:
                self.cluster.remove_pods(name)
        self.cluster.end_job(name, "Failed", "ReachedMaxRestarts", "jobset failed due to reaching max restarts")

    def _attempt(self, name: str, trainer: dict[str, Any], attempt: int) -> bool:
        pods = self.cluster.run_pods(name, trainer["numNodes"], attempt=attempt)
        port = _free_port()
        processes = [
            subprocess.Popen(
                [*self.prefixes[index], sys.executable, *trainer["command"][1:]],
                env=self._environment(trainer, index, port),
                stderr=subprocess.STDOUT,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            for index in range(trainer["numNodes"])
        ]
        readers = [
            threading.Thread(target=self._read, args=(pod, process, processes), daemon=True)
            for pod, process in zip(pods, processes, strict=True)
        ]
        for reader in readers:
            reader.start()
        try:
            while name in self.cluster.jobs:
                codes = [process.poll() for process in processes]
                for pod, code in zip(pods, codes, strict=True):
                    if code:
                        self.cluster.fail_pod(pod, code)
                if any(codes) or None not in codes:
                    break
                time.sleep(0.02)
        finally:
            for process in processes:
                _kill_session(process.pid)
                process.wait(timeout=20)
            for reader in readers:
                reader.join(timeout=20)
            for process in processes:
                if process.stdout is not None:
                    process.stdout.close()
        codes = [process.returncode for process in processes]
        if name in self.cluster.jobs and not any(codes):
            for pod in pods:
                self.cluster.fail_pod(pod, 0)
        return not any(codes)

    def _read(self, pod: str, process: subprocess.Popen[str], processes: list[subprocess.Popen[str]]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                self.cluster.write_log(pod, line.rstrip("\n"))
            except KeyError:
                continue
            if process is processes[0] and not self.kills and self.killed(line):
                self.kills.append(line.strip())
                for worker in children_of(processes[1].pid):
                    os.kill(worker, signal.SIGKILL)

    def _environment(self, trainer: dict[str, Any], index: int, port: int) -> dict[str, str]:
        """As Kubeflow Trainer's torch plugin sets it."""
        asked = {
            one["name"]: one["value"] if "value" in one else self.secrets[one["valueFrom"]["secretKeyRef"]["key"]]
            for one in trainer["env"]
        }
        return {
            **self.environment,
            **asked,
            "PET_NNODES": str(trainer["numNodes"]),
            "PET_NPROC_PER_NODE": str(trainer["numProcPerNode"]),
            "PET_NODE_RANK": str(index),
            "PET_MASTER_ADDR": self.address,
            "PET_MASTER_PORT": str(port),
        }


def children_of(pid: int) -> list[int]:
    """A process's children, now."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _kill_session(pid: int) -> None:
    """A node and everything it started; torchrun's workers have sessions of their own."""
    for worker in [*children_of(pid), pid]:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port
