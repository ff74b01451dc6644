"""Both targets of the Dockerfile, and how long an edit of the code takes to be in them."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from pipelines.revision import ROOT
from tests.container.base_image import index_files
from tests.container.dockerfile import admitted
from tests.container.engine import Engine

EDITED = Path("models/errors.py")


@dataclass(frozen=True)
class Image:
    """A target as it was built.

    Attributes:
        target: of the Dockerfile.
        name: in the engine's storage.
        size_bytes: of all its layers, unpacked.
        seconds: that the build took from nothing, or from what the target before had built.
    """

    target: str
    name: str
    size_bytes: int
    seconds: float


def make_context(place: Path) -> Path:
    """A copy of what the build is sent, which may be edited."""
    context = place / "context"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir()
    for name in ("Dockerfile", ".dockerignore", *admitted((ROOT / ".dockerignore").read_text())):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, context / name)
    return context


def build(engine: Engine, base: str, context: Path, target: str, revision: str) -> Image:
    """One target, with the layers that are there already."""
    name = f"localhost/ganvas-{target}:container-test"
    started = time.perf_counter()
    engine.buildah(
        "bud",
        "--layers",
        "--format=docker",
        "--network=host",
        f"--build-arg=BASE_IMAGE={base}",
        f"--build-arg=CODE_REVISION={revision}",
        *index_files(engine),
        f"--target={target}",
        f"--tag={name}",
        str(context),
        log=engine.place / f"build-{target}.log",
    )
    seconds = time.perf_counter() - started
    inspected = json.loads(engine.podman("image", "inspect", name))[0]
    return Image(target, name, inspected["Size"], seconds)


def seconds_of_an_edit(engine: Engine, base: str, context: Path, target: str, revision: str) -> float:
    """What a changed line of the code costs; the image of that line replaces the one before."""
    with (context / EDITED).open("a") as file:
        file.write(f"# edited for {target}\n")
    return build(engine, base, context, target, revision).seconds
