"""The cluster's API, by kubectl; what is read is read raw, so that it is JSON of one address."""

from __future__ import annotations

import json
import os
import sysconfig
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tests.kind.shell import run

KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"


class Kubectl:
    """kubectl for one cluster.

    Args:
        kubeconfig: file that says where it is.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def command(self, *arguments: str | Path) -> list[str]:
        """A command line."""
        return [str(KUBECTL), f"--kubeconfig={self.kubeconfig}", *(str(argument) for argument in arguments)]

    def run(self, *arguments: str | Path, timeout_seconds: float = 120.0) -> str:
        """What kubectl prints. Raises StepFailed."""
        return run(self.command(*arguments), timeout_seconds)

    def read(self, path: str, **query: str) -> Any:
        """The JSON at an address of the API, such as ``/api/v1/namespaces/mlflow/pods``. Raises StepFailed."""
        return json.loads(self.text(path, **query))

    def text(self, path: str, **query: str) -> str:
        """The text at an address of the API. Raises StepFailed."""
        return self.run("get", "--raw", f"{path}?{urlencode(query)}" if query else path)

    def delete(self, path: str, **query: str) -> None:
        """Delete the object at an address of the API. Raises StepFailed."""
        self.run("delete", "--raw", f"{path}?{urlencode(query)}" if query else path)


def in_namespace(group_version: str, namespace: str, resource: str, name: str = "") -> str:
    """An address: ``v1`` is the core's group."""
    root = f"/api/{group_version}" if "/" not in group_version else f"/apis/{group_version}"
    return "/".join([root, "namespaces", quote(namespace), resource, *([quote(name)] if name else [])])


def without_proxies() -> dict[str, str]:
    """This process's environment for programs that talk to loopback."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
