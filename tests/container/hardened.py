"""An image under the rules of a restricted cluster: what it is like from inside, and what must hold of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.container.engine import Engine

RESTRICTED = (
    "--read-only",
    "--read-only-tmpfs=false",
    "--tmpfs=/tmp:mode=1777",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--network=host",
)
"""A read-only root, nothing but /tmp to write to, no capability and none to be had."""
USER = 10001
PROBE = Path(__file__).with_name("probe.py")


def probe(engine: Engine, image: str) -> dict[str, Any]:
    """What :mod:`tests.container.probe` finds in an image, run as its own user."""
    mounted = f"--volume={PROBE}:/probe.py:ro"
    said = engine.podman("run", "--rm", *RESTRICTED, mounted, "--entrypoint=python3", image, "/probe.py")
    found: dict[str, Any] = json.loads(said)
    return found


def faults(found: dict[str, Any], *, heavy: list[str]) -> list[str]:
    """What of a probe's findings must not be, a line each.

    Args:
        found: as :func:`probe` gives it.
        heavy: the large packages that belong into the image, and no others do.
    """
    expected = {
        "user": USER,
        "group": USER,
        "home": "/tmp",
        "prefix": "/opt/ganvas",
        "safe_path": True,
        "capabilities": 0,
        "no_new_privileges": True,
        "tools": [],
        "heavy": heavy,
        "writable_by_all": [],
        "writable_by_me": ["/tmp"],
    }
    return [f"{name} is {found[name]!r}, not {value!r}" for name, value in expected.items() if found[name] != value]


def metadata_faults(engine: Engine, image: str, revision: str) -> list[str]:
    """What an image's configuration lacks of what is promised of it, a line each."""
    configuration = json.loads(engine.podman("image", "inspect", image))[0]["Config"]
    labels = configuration.get("Labels") or {}
    prefix = "org.opencontainers.image."
    wrong = [
        f"label {prefix}{name} is missing"
        for name in ("title", "description", "version")
        if not labels.get(prefix + name)
    ]
    if labels.get(f"{prefix}revision") != revision:
        wrong.append(f"label {prefix}revision is {labels.get(f'{prefix}revision')!r}, not {revision!r}")
    if configuration["User"] != str(USER):
        wrong.append(f"USER is {configuration['User']!r}")
    return wrong
