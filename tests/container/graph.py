"""The whole graph, container by container, as ``ganvas run --runner docker`` runs it; what each step left is read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from pipelines.local import COLOURS, LOG_NAME, LOOP_ITERATION, PIPELINE_DIRECTORY, PROMOTION_NAME, task_directories
from pipelines.revision import ROOT
from pipelines.stages import EVALUATE, EXPORT, EXTRACT, LIST, PREPARE, PROMOTE, READ, STAGES, TRAIN
from tests.container.engine import EngineError
from tests.container.hardened import USER

RECIPE = "digits-gan-smoke"
RUN_SECONDS = 900
EXECUTED_NAME = "executor_output.json"
LOGGED = re.compile(r"([\d:]{8}\.\d{3}) - \w+ - (?:Executing task|Task) '([a-z-]+)'( finished)?")


@dataclass(frozen=True)
class GraphRun:
    """What came of it.

    Attributes:
        directory: of the run, with the bundle.
        user: that the steps ran as.
        container_seconds: of each task, from its start to its end as the engine saw it.
        work_seconds: of each task's own work, as it said itself.
        wall_seconds: of the whole command.
    """

    directory: Path
    user: int
    container_seconds: dict[str, float]
    work_seconds: dict[str, float]
    wall_seconds: float


def run_graph(place: Path, image: str, engine_address: str, tracking_uri: str) -> GraphRun:
    """Run the recipe; every task's output has been read when this returns.

    Args:
        place: a directory of this run's own.
        image: in the engine's storage.
        engine_address: for ``DOCKER_HOST``.
        tracking_uri: of an MLflow server that the containers reach.

    Raises:
        EngineError: if the command fails, a task left nothing or something incomplete.
    """
    place.mkdir()
    output = place / "run"
    user = _user()
    if user:
        os.chown(place, user, user)
    command = [sys.executable, "-m", "pipelines.cli.main", "run", RECIPE, "--runner", "docker"]
    command += ["--out", str(output), "--json"]
    ended = subprocess.run(
        command,
        env=_environment()
        | {
            "DOCKER_HOST": engine_address,
            "GANVAS_IMAGE": image,
            "HOME": str(place),
            "MLFLOW_TRACKING_URI": tracking_uri,
            "PYTHONPATH": str(ROOT),
        },
        cwd=place,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    if ended.returncode:
        log = output / LOG_NAME
        end = "\n".join(log.read_text().splitlines()[-15:]) if log.is_file() else ""
        raise EngineError(f"ganvas run ended with {ended.returncode}: {ended.stderr.strip()[-1500:]}\n{end}")
    tasks = task_directories(output / PIPELINE_DIRECTORY)
    if incomplete := incomplete_steps(tasks):
        raise EngineError("\n".join(incomplete))
    run = json.loads(ended.stdout)
    if run["outcome"] != "passed":
        raise EngineError(f"The run's outcome is {run['outcome']}.")
    return GraphRun(
        output,
        user if user is not None else os.getuid(),
        container_seconds((output / LOG_NAME).read_text()),
        run["work_seconds"],
        run["wall_seconds"],
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


def _environment() -> dict[str, str]:
    """Without what would tell the run of another store, engine or registry."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "GANVAS_", "KFP_"))}


def _user() -> int | None:
    """Whom the graph is run by: not root, where somebody else can read this checkout and its environment."""
    command = [sys.executable, "-c", "import pipelines.graph"]
    environment = _environment() | {"PYTHONPATH": str(ROOT), "HOME": "/tmp"}
    try:
        tried = subprocess.run(
            command, user=USER, group=USER, extra_groups=[], env=environment, cwd="/", capture_output=True
        )
    except OSError:
        return None
    return USER if tried.returncode == 0 else None
