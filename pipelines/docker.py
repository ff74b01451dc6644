"""How ``kfp.local`` starts containers, on Docker or whatever speaks its protocol."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from components.environment import TRACKING_URI
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
        engine = docker.from_env()
        engine.ping()
    except docker.errors.DockerException as error:
        raise GanvasError(
            f"No container engine answers: {str(error).splitlines()[0][:150]}",
            "Start Docker or `podman system service`, or set DOCKER_HOST.",
        ) from error
    from kfp import local

    # Rootless engines may not raise limits above their own, so both are stated.
    return local.DockerRunner(
        network_mode="host",
        ulimits=[Ulimit(name="nofile", soft=1024, hard=4096), Ulimit(name="nproc", soft=4096, hard=8192)],
        user=step_user(os.getuid(), os.getgid(), engine.info().get("SecurityOptions") or []),
        environment={TRACKING_URI: os.environ.get(TRACKING_URI, "")},
        # As a cluster's restricted profile has it: what works here works there.
        read_only=True,
        tmpfs={"/tmp": "mode=1777"},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
    )


def step_user(uid: int, gid: int, security_options: Sequence[str]) -> str:
    """``UID:GID`` in the container whose files are this user's outside.

    The image's own user could not write into this user's directories; whoever runs here owns what comes out. Under a
    rootless engine that is the container's root, which is nobody but this user outside.

    Args:
        uid: of whoever runs the graph.
        gid: of the same.
        security_options: as the engine's ``/info`` states them.
    """
    return "0:0" if "name=rootless" in security_options else f"{uid}:{gid}"
