"""What the machine must have, found out at once."""

from __future__ import annotations

import shutil

from tests.kind.pins import KIND
from tests.kind.shell import NoEngine, StepFailed, run


def require_tools() -> None:
    """Refuse to begin where the test cannot end.

    Raises:
        NoEngine: naming the first thing that is missing.
    """
    for name, why in (("docker", "an engine that runs the cluster's node"), ("kind", KIND), ("git", "for kustomize")):
        if shutil.which(name) is None:
            raise NoEngine(f"make kind-test needs {name} ({why}), which is not on PATH.", "See docs/kubernetes.md.")
    try:
        run(["docker", "version", "--format", "{{.Server.Version}}"], 30)
    except StepFailed as failure:
        raise NoEngine(
            f"make kind-test needs a Docker engine, and none answers: {failure.message}",
            "Start one, or set DOCKER_HOST; make container-test needs none.",
        ) from failure
    found = run(["kind", "version"], 30)
    if KIND not in found.split():
        raise NoEngine(f"make kind-test was written for kind {KIND}; here is {found.strip()}.", f"Install kind {KIND}.")
