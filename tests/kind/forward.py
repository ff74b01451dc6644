"""A port of a service on loopback, for as long as it is needed."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.kind.kubectl import Kubectl
from tests.kind.pins import Service
from tests.kind.shell import StepFailed

SECONDS_TO_START = 30.0
_LINE = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@contextmanager
def forwarded(kubectl: Kubectl, of: Service) -> Iterator[str]:
    """``http://127.0.0.1:PORT`` that leads to the service. Raises StepFailed if nothing is forwarded."""
    namespace, service, port = of
    command = kubectl.command("--namespace", namespace, "port-forward", f"service/{service}", f":{port}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        # It says nothing, and does not end, where a pod takes its time.
        timer = threading.Timer(SECONDS_TO_START, process.kill)
        timer.start()
        try:
            address = f"http://127.0.0.1:{_port(process, service)}"
            timer.cancel()
            yield address
        finally:
            timer.cancel()
            process.terminate()


def _port(process: subprocess.Popen[str], service: str) -> int:
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        if found := _LINE.search(line):
            # What it says later is drained, or it would stop at a full pipe.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return int(found[1])
        said = line.strip()
    raise StepFailed(f"No port of {service} could be forwarded: {said or 'no answer'}.")
