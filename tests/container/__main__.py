"""Both images, built from nothing without a registry; the whole graph in containers; the server in its own.

    make container-test
    python -m tests.container --record docs/benchmarks/containers.md

A base image is made by debootstrap, both targets of the Dockerfile are built on it by buildah, `ganvas run --runner
docker` runs the graph container by container on Podman's socket against an MLflow server on loopback, and the serving
image is run read-only and called. Everything is under one temporary directory, which is removed at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tests.container.requirements import (
    effective_capabilities,
    free_bytes,
    missing_programs,
    missing_rights,
    missing_space,
)

if TYPE_CHECKING:
    from tests.container.engine import Engine
    from tests.container.record import Findings

WRONG_USE = 2


def main() -> int:
    """0 if everything held, 1 if something did not, 2 where this machine cannot run the test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    parser.add_argument(
        "--serving-only", metavar="BUNDLE", type=Path, help="no graph: the serving image with this bundle"
    )
    parser.add_argument("--keep", type=Path, help="work in this directory and leave the images there, for the next run")
    arguments = parser.parse_args()
    if lacking := missing_programs() or missing_rights(os.geteuid(), effective_capabilities()):
        print(lacking, file=sys.stderr)
        return WRONG_USE
    # Late: what is imported here must not be what the first line waits for.
    from tests.container.base_image import NoBaseImage
    from tests.container.engine import EngineError, end_containers, ended_by_sigterm, make_engine
    from tests.container.record import page

    with ended_by_sigterm(), _place(arguments.keep) as place:
        try:
            engine = make_engine(place)
        except EngineError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        try:
            if lacking := missing_space(place, engine.driver, free_bytes(place)) if not arguments.keep else "":
                print(lacking, file=sys.stderr)
                return WRONG_USE
            command = " ".join(["python -m tests.container", *sys.argv[1:]])
            found = _run(engine, arguments.serving_only)
            text = page(found, command) if found.graph else ""
        except NoBaseImage as error:
            print(f"no base image can be made here: {error}", file=sys.stderr)
            return WRONG_USE
        except EngineError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        finally:
            end_containers(engine)
    print(text)
    if arguments.record and text:
        arguments.record.write_text(text)
    return 0


def _run(engine: Engine, bundle: Path | None) -> Findings:
    """Everything, in order, or only what serves a bundle; what was found."""
    from pipelines.revision import code_revision
    from tests.container.base_image import NAME, make_base_image
    from tests.container.build import build, make_context, seconds_of_an_edit
    from tests.container.engine import EngineError
    from tests.container.graph import RECIPE, registered, run_graph
    from tests.container.hardened import faults, metadata_faults, probe
    from tests.container.record import Findings
    from tests.container.served import serve_and_call
    from tests.mlflow_server import mlflow_server

    started = time.perf_counter()
    found = Findings(engine.driver)

    def say(line: str) -> None:
        print(f"[{time.perf_counter() - started:5.0f} s] {line}", flush=True)

    if not engine.buildah("images", "--quiet", "--filter", f"reference={NAME}"):
        say("the base image, by debootstrap")
        make_base_image(engine)
        found.base_seconds = time.perf_counter() - started
    context, revision = make_context(engine.place), code_revision()
    targets = {"serving": []} if bundle else {"serving": [], "pipeline": ["torch", "kfp", "mlflow"]}
    for target, heavy in targets.items():
        say(f"the {target} image")
        image = build(engine, NAME, context, target, revision)
        found.images.append(image)
        found.probes[target] = probe(engine, image.name)
        wrong = faults(found.probes[target], heavy=heavy) + metadata_faults(engine, image.name, revision)
        if wrong:
            raise EngineError(f"The {target} image: {'; '.join(wrong)}")
        say(f"  {image.size_bytes / 1e9:.2f} GB in {image.seconds:.0f} s; an edit of the code")
        found.edit_seconds[target] = seconds_of_an_edit(engine, NAME, context, target, f"{revision}-edited")
        build(engine, NAME, context, target, revision)
        if wrong := metadata_faults(engine, image.name, revision):
            raise EngineError(f"The {target} image after nothing but another commit: {'; '.join(wrong)}")
        say(f"  {found.edit_seconds[target]:.1f} s")
    if bundle:
        say(f"the bundle {bundle}, mounted read-only")
        what = ["--bundle", "/bundle", "--name", RECIPE]
        serve_and_call(engine, found.images[0].name, what, f"--volume={bundle.resolve()}:/bundle:ro")
        say("everything held")
        return found
    serving, pipeline = (image.name for image in found.images)
    work = engine.place / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    with mlflow_server(work / "mlflow") as uri:
        say("the graph, container by container")
        found.graph = run_graph(engine, work / "graph", pipeline, uri)
        version = registered(uri)
        say(f"  {RECIPE} version {version} is the champion; serving it")
        found.registry = serve_and_call(engine, serving, [RECIPE], f"--env=MLFLOW_TRACKING_URI={uri}")
        if found.registry.version != version:
            raise EngineError(f"Version {found.registry.version} answers, not {version}.")
    say("the bundle, mounted read-only")
    mounted = f"--volume={found.graph.directory}/bundle:/bundle:ro"
    found.directory = serve_and_call(engine, serving, ["--bundle", "/bundle"], mounted)
    found.seconds = time.perf_counter() - started
    say("everything held")
    return found


@contextlib.contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    """Where everything is kept, removed afterwards unless it was named; nobody else can enter it."""
    if keep is not None:
        keep.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield keep.resolve()
        return
    # Not /tmp, which is memory on some machines: this takes tens of GB.
    place = Path(tempfile.mkdtemp(prefix="ganvas-", dir=os.environ.get("TMPDIR", "/var/tmp")))
    try:
        yield place
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    sys.exit(main())
