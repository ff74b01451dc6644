"""How ``kfp.local`` starts containers, on Docker or whatever speaks its protocol."""

from __future__ import annotations

import os
from typing import Any

from models.errors import GanvasError


def docker_runner() -> Any:
    """A DockerRunner for the engine that ``DOCKER_HOST`` names.

    Raises:
        GanvasError: if no engine answers or its Python client is missing.
    """
    try:
        import docker
        from docker.types import Ulimit
    except ImportError as error:
        raise GanvasError("--runner docker needs the Python package docker.", "pip install docker.") from error
    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        raise GanvasError(
            f"No container engine answers: {str(error).splitlines()[0][:150]}",
            "Start Docker or `podman system service`, or set DOCKER_HOST.",
        ) from error
    from kfp import local

    # The image's own user could not write into this user's directories; whoever runs here owns what comes out. That
    # user has no home in the image, and libraries want one. Rootless engines may not raise limits above their own,
    # so both are stated.
    return local.DockerRunner(
        network_mode="host",
        ulimits=[Ulimit(name="nofile", soft=1024, hard=4096), Ulimit(name="nproc", soft=4096, hard=8192)],
        user=f"{os.getuid()}:{os.getgid()}",
        environment={"HOME": "/tmp", "MLFLOW_TRACKING_URI": os.environ.get("MLFLOW_TRACKING_URI", "")},
    )
