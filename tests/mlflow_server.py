"""An MLflow server on loopback for the length of a block."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
START_SECONDS = 200.0  # it imports mlflow twice and makes a database


@contextmanager
def mlflow_server(
    directory: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    processes: list[int] | None = None,
    new_store: Callable[[Path], object] = lambda path: None,
) -> Iterator[str]:
    """Its URI; it keeps everything under ``directory`` and hands artifacts out itself.

    Args:
        directory: is made.
        options: of ``mlflow server``; with any, where artifacts are kept must be among them.
        environment: more variables than this process's own.
        processes: gets the server's process id.
        new_store: may put an empty store at a path before the server does.
    """
    directory.mkdir(parents=True)
    new_store(directory / "mlflow.db")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{directory}/mlflow.db"]
    command += options or ["--artifacts-destination", f"{directory}/artifacts"]
    uri = f"http://127.0.0.1:{port}"
    with (
        (directory / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **QUIET, **(environment or {})}) as server,
    ):
        try:
            deadline = time.monotonic() + START_SECONDS
            while True:
                try:
                    if httpx.get(f"{uri}/health", trust_env=False).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                if server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((directory / "log").read_text())
                time.sleep(0.2)
            if processes is not None:
                processes.append(server.pid)
            yield uri
        finally:
            server.terminate()  # it ends its own worker
