"""What the container test measured, as a page."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipelines.stages import STAGES
from tests.container.build import Image
from tests.container.graph import GraphRun
from tests.container.served import Serving


@dataclass
class Findings:
    """Filled in as the test goes on; sizes in bytes, times in seconds."""

    driver: str
    base_seconds: float = 0.0
    images: list[Image] = field(default_factory=list)
    edit_seconds: dict[str, float] = field(default_factory=dict)
    probes: dict[str, dict[str, Any]] = field(default_factory=dict)
    graph: GraphRun | None = None
    registry: Serving | None = None
    directory: Serving | None = None
    seconds: float = 0.0


def page(found: Findings, command: str) -> str:
    """The findings of a test that passed, as Markdown."""
    assert found.graph and found.registry and found.directory
    lines = [
        "# The images, built and run from nothing",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; "
        f"`{_threads()}{command}`; {os.cpu_count()} cores at a load of {os.getloadavg()[2]:.0f}, "
        f"storage driver {found.driver}; "
        f"{found.seconds / 60:.1f} minutes in all, {found.base_seconds:.0f} s of them for the base image",
        "",
        "| image | size | packages | built in | after an edit of the code |",
        "|---|---|---|---|---|",
    ]
    for image in found.images:
        packages = found.probes[image.target]["distributions"]
        lines.append(
            f"| {image.target} | {image.size_bytes / 1e9:.2f} GB | {packages} | {image.seconds:.0f} s | "
            f"{found.edit_seconds[image.target]:.1f} s |"
        )
    lines += [
        "",
        "Of both, run as their own user 10001 with `--read-only`, `--cap-drop=all` and `no-new-privileges`: only /tmp "
        "can be written to, nothing is writable by everybody, no installer is inside.",
        "",
        "The graph of `digits-gan-smoke`, a container for each task on Podman's socket, within the same bounds, "
        f"{found.graph.wall_seconds:.0f} s in all:",
        "",
        "| task | its own work | its container |",
        "|---|---|---|",
    ]
    for stage in STAGES:
        work = found.graph.work_seconds.get(stage.task, 0.0)
        lines.append(f"| {stage.task} | {work:.1f} s | {found.graph.container_seconds[stage.task]:.1f} s |")
    lines += [
        "",
        "| serving | ready after | answered | SIGTERM |",
        "|---|---|---|---|",
        *(
            f"| {what} | {seen.ready_seconds:.1f} s | version {seen.version} | exit {seen.exit_code} after "
            f"{seen.stop_seconds:.1f} s |"
            for what, seen in (("from the registry", found.registry), ("a bundle, mounted", found.directory))
        ),
        "",
    ]
    return "\n".join(lines)


def _threads() -> str:
    """The variable before the command, where it is set: the containers have it too."""
    threads = os.environ.get("OMP_NUM_THREADS")
    return f"OMP_NUM_THREADS={threads} " if threads else ""
