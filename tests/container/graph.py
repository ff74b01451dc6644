"""The whole graph, container by container, as ``ganvas run --runner docker`` runs it; what each step left is read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from pipelines.local import COLOURS, LOG_NAME, LOOP_ITERATION, PIPELINE_DIRECTORY, PROMOTION_NAME, task_directories
from pipelines.stages import EVALUATE, EXPORT, EXTRACT, LIST, PREPARE, PROMOTE, READ, STAGES, TRAIN
from tests.container.engine import Engine, EngineError
from tests.container.hardened import RESTRICTED, USER

RECIPE = "digits-gan-smoke"
RUN_SECONDS = 1200
EXECUTED_NAME = "executor_output.json"
LOGGED = re.compile(r"([\d:]{8}\.\d{3}) - \w+ - (?:Executing task|Task) '([a-z-]+)'( finished)?")


@dataclass(frozen=True)
class GraphRun:
    """What came of it.

    Attributes:
        directory: of the run, with the bundle.
        container_seconds: of each task, from its start to its end as the engine saw it.
        work_seconds: of each task's own work, as it said itself.
        wall_seconds: of the whole command.
    """

    directory: Path
    container_seconds: dict[str, float]
    work_seconds: dict[str, float]
    wall_seconds: float


def run_graph(engine: Engine, place: Path, image: str, tracking_uri: str) -> GraphRun:
    """Run the recipe; every task's output has been read when this returns.

    The command runs in the image too, on the engine's socket: so that nobody is root, wherever this checkout lies.

    Args:
        engine: for the command and, by its service, for the tasks.
        place: a directory of this run's own; its path is the same inside.
        image: in the engine's storage.
        tracking_uri: of an MLflow server that the containers reach.

    Raises:
        EngineError: if the command fails, a task left nothing or something incomplete.
    """
    place.mkdir()
    os.chown(place, USER, USER)
    output = place / "run"
    with engine.service() as address:
        socket = address.removeprefix("unix://")
        variables = {"DOCKER_HOST": address, "GANVAS_IMAGE": image, "MLFLOW_TRACKING_URI": tracking_uri}
        try:
            said = engine.podman(
                "run",
                "--rm",
                *RESTRICTED,
                f"--timeout={RUN_SECONDS}",
                *(f"--env={name}={value}" for name, value in variables.items()),
                f"--volume={socket}:{socket}",
                f"--volume={place}:{place}",
                image,
                *("ganvas", "run", RECIPE, "--runner", "docker", "--out", str(output), "--json"),
            )
        except EngineError as error:
            log = output / LOG_NAME
            end = log.read_text().splitlines()[-15:] if log.is_file() else []
            raise EngineError("\n".join([str(error), *end])) from error
    tasks = task_directories(output / PIPELINE_DIRECTORY)
    if incomplete := incomplete_steps(tasks):
        raise EngineError("\n".join(incomplete))
    if others := [path for path in output.rglob("*") if path.lstat().st_uid != USER]:
        raise EngineError(f"{others[0]} is user {others[0].lstat().st_uid}'s.")
    run = json.loads(said)
    if run["outcome"] != "passed":
        raise EngineError(f"The run's outcome is {run['outcome']}.")
    return GraphRun(
        output, container_seconds((output / LOG_NAME).read_text()), run["work_seconds"], run["wall_seconds"]
    )


def incomplete_steps(tasks: dict[str, Path]) -> list[str]:
    """What is missing or broken of what the graph's tasks leave, a line each.

    The engine's own word is not enough: a container that is gone before its end was seen counts as a success there.

    Args:
        tasks: directories of the tasks that began; those of a loop's iterations hold their task's one.
    """
    iterations = [path / READ.task for name, path in tasks.items() if LOOP_ITERATION.fullmatch(name)]
    found = {stage.task: [tasks[stage.task]] if stage.task in tasks else [] for stage in STAGES} | {
        READ.task: iterations
    }
    wrong = [f"{name} left nothing" for name, directories in found.items() if not directories]
    for name, directories in found.items():
        for directory in directories:
            try:
                json.loads((directory / EXECUTED_NAME).read_bytes())
                _readers()[name](directory)
            except Exception as error:  # whatever a reader raises is what is wrong
                wrong.append(f"{name}: {error}")
    return wrong


def _readers() -> dict[str, Callable[[Path], Any]]:
    """What reads each task's output as the next one does: it raises where something is incomplete or altered."""
    from components.evaluate.reader import read_report
    from components.export.bundle import read_bundle
    from components.extractor.reader import read_extractor
    from components.prepare.dataset import read_manifest
    from components.prepare.partition import PARTITION_NAME
    from components.train.checkpoint import read_checkpoint

    return {
        LIST.task: lambda task: json.loads((task / EXECUTED_NAME).read_bytes())["parameterValues"]["recipe"],
        READ.task: lambda task: json.loads((task / "units" / PARTITION_NAME).read_bytes()),
        PREPARE.task: lambda task: read_manifest(task / "dataset"),
        TRAIN.task: lambda task: read_checkpoint(task / "checkpoint"),
        EXTRACT.task: lambda task: read_extractor(task / "extractor"),
        EXPORT.task: lambda task: read_bundle(task / "bundle"),
        EVALUATE.task: lambda task: read_report(task / "report"),
        PROMOTE.task: lambda task: (task / PROMOTION_NAME).read_text(),
    }


def container_seconds(log: str) -> dict[str, float]:
    """Seconds of each task from the engine's own lines, loops' iterations added up."""
    began: dict[str, datetime] = {}
    seconds: dict[str, float] = {}
    for clock, task, finished in LOGGED.findall(COLOURS.sub("", log)):
        now = datetime.strptime(clock, "%H:%M:%S.%f")
        if not finished:
            began[task] = now
        elif task in began:
            # It gives no date: a run may pass midnight.
            seconds[task] = seconds.get(task, 0.0) + (now - began.pop(task)) % timedelta(days=1) / timedelta(seconds=1)
    return seconds


def registered(tracking_uri: str, alias: str = "champion") -> str:
    """The version that an alias of the recipe's model names.

    Raises:
        EngineError: if it names none.
    """
    answer = httpx.get(
        f"{tracking_uri}/api/2.0/mlflow/registered-models/alias",
        params={"name": RECIPE, "alias": alias},
        trust_env=False,
        timeout=60,
    )
    if answer.status_code != 200:
        raise EngineError(f"The registry names no {alias} of {RECIPE}: {answer.text[:200]}")
    version: str = answer.json()["model_version"]["version"]
    return version
