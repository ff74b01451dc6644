"""A short soak: what mixed requests and clients that leave take is given back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

KINDS = [
    "/",
    "/metrics",
    "/v2/health/ready",
    "/v2/models/tiny",
    "/v1/models/tiny/images?seed={n}",
    "/v1/models/tiny/images?n=40&layout=zip&format=webp&seed={n}",
    "/v1/models/tiny/interpolate?from={n}&to=3",
    "/v1/models/tiny/images?n=0",
    "/nothing",
]


def held(pid: int) -> tuple[int, int, int]:
    """Descriptors, threads and bytes of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), int(status["Threads"]), 1024 * int(status["VmRSS"].split()[0])


def mix(url: str, rounds: int) -> None:
    host, port = url.removeprefix("http://").split(":")

    def ask(offset: int) -> None:
        for number in range(rounds):
            with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
                for kind in KINDS:
                    answer = client.get(kind.format(n=offset + number))
                    assert answer.status_code < 500
            with socket.create_connection((host, int(port)), timeout=20) as leaver:
                leaver.sendall(b"GET /v1/models/tiny/images?n=64 HTTP/1.1\r\nHost: x\r\n\r\n")

    threads = [threading.Thread(target=ask, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_what_requests_take_is_given_back(make_bundle: Any) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GANVAS_", "MLFLOW_"))}
    command = [sys.executable, "-m", "serving", "--bundle", str(make_bundle()), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as server:
        try:
            assert server.stdout is not None
            url = next(word for word in server.stdout.readline().split() if word.startswith("http://"))
            mix(url, 5)  # threads are made, caches are filled
            descriptors, threads, memory = held(server.pid)
            mix(url, 10)
            after = held(server.pid)
        finally:
            server.kill()
    assert after[0] <= descriptors + 4, "connections that are being closed"
    cores = os.cpu_count() or 1
    pools = min(32, cores + 4) + cores + 4  # asyncio's own, the instances, the watcher
    assert after[1] <= max(threads, pools), "threads are made as they are needed, up to what the pools hold"
    assert after[2] <= memory + 24 * 2**20
