"""The graph on this machine: ``kfp.local`` runs it, one process a step."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sqlite3
import time
import uuid
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, TextIO

from components import environment
from components.artifacts import Document, alone_in, prepare_output_directory, write_document
from components.evaluate.documents import METRICS_NAME, REPORT_NAME, VERDICT_NAME
from components.recipe import Recipe
from components.step import ERROR_MARK, SAID_MARK, WORK_SECONDS
from components.tracking import CHAMPION, is_absent, is_server, tracking_uri
from models.errors import ArtifactError, GanvasError, TrackingError
from pipelines.revision import code_revision
from pipelines.stages import EVALUATE, EXPORT, PROMOTE, STAGES
from pipelines.stopping import Stop, Stopped, steps_are_told
from pipelines.surroundings import Surroundings

RUN_NAME = "run.json"
FAILED_RUN_NAME = "run.failed.json"
LOCK_NAME = ".running"
CHECKPOINTS_DIRECTORY = "checkpoints"
CACHE_DIRECTORY = ".cache"
"""Beside the runs: what follows from a hash and need not be computed twice."""
PIPELINE_DIRECTORY = "pipeline"
Runner = Literal["subprocess", "docker"]
PROMOTION_NAME = "promotion"
"""What promotion leaves once a version is registered, whatever the verdict."""
LOG_NAME = "pipeline.log"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
LOOP_ITERATION = re.compile(r"for-loop-\d+-iteration-\d+")
TASK_STARTS = re.compile(r" - INFO - Executing task '([a-z-]+)'")
TASK_ENDS = re.compile(r" - (?:INFO|ERROR) - Task '([a-z-]+)' finished with status (SUCCESS|FAILURE)")


class LocalRun(Document):
    """What came of a local run. ``overhead_seconds`` is wall time that no step's own work accounts for.

    ``outcome`` is passed or failed only where promotion has done its part; ``alias`` is what it then gave.
    """

    recipe: Recipe
    outcome: Literal["passed", "failed", "error"]
    alias: str = ""
    wall_seconds: float
    work_seconds: dict[str, float]
    overhead_seconds: float
    message: str = ""


@dataclass
class Progress:
    """Is told what happens, to show it."""

    on_start: Callable[[str], None]
    on_line: Callable[[str, str], None]
    on_end: Callable[[str, bool], None]


@dataclass
class Stream(io.TextIOBase):
    """Takes what the engine and the steps print, line by line.

    All of it goes to a log file. What a step says to people, the one-line errors, and the starts and ends of
    tasks are told on.
    """

    progress: Progress
    log: TextIO
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    task: str = ""
    stopped_by: int | None = None
    """The signal that ended the graph, if one came while it ran."""
    reasons: list[str] = field(default_factory=list)
    _rest: str = ""

    def write(self, text: str) -> int:
        self.log.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(None, map(str.strip, lines)):
            self._tell(COLOURS.sub("", line))
        return len(text)

    def _tell(self, line: str) -> None:
        if line.startswith(ERROR_MARK):
            self.reasons.append(line.removeprefix(ERROR_MARK))
        if line.startswith((SAID_MARK, ERROR_MARK)):
            self.progress.on_line(self.task, line.removeprefix(SAID_MARK))
        elif started := TASK_STARTS.search(line):
            self.task = started[1]
            self.progress.on_start(started[1])
        elif ended := TASK_ENDS.search(line):
            self.progress.on_end(ended[1], ended[2] == "SUCCESS")


def require_ready(output: Path) -> None:
    """Refuse before anything starts what would fail at its end.

    A directory in which an earlier run ended with an error, or was stopped, is accepted: that run is gone on with.

    Raises:
        ArtifactError: if the output directory is finished, foreign, or cannot be written.
        TrackingError: if the MLflow server does not answer, or the store's file is broken.
    """
    from pipelines.graph import PIPELINE_NAME

    uri = tracking_uri()
    if is_server(uri):
        import urllib.error
        import urllib.request

        try:
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=5).close()
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise TrackingError(
                f"No MLflow server answers at {uri}: {getattr(error, 'reason', error)}.",
                "Start it, correct MLFLOW_TRACKING_URI, or unset it to use a SQLite store under ./runs.",
            ) from error
    else:
        _require_sound_store(uri)
    if output.is_dir() and any(output.iterdir()) and not (output / LOG_NAME).exists():
        raise ArtifactError(f"{output.resolve()} is not empty and holds no run.", "Choose a new directory with --out.")
    refuse_other_graph(output, PIPELINE_NAME)
    if (output / RUN_NAME).is_file() and LocalRun.model_validate_json(
        (output / RUN_NAME).read_bytes()
    ).outcome == "error":
        (output / RUN_NAME).replace(output / FAILED_RUN_NAME)
    prepare_output_directory(output, RUN_NAME)


def refuse_other_graph(output: Path, pipeline_name: str) -> None:
    """A run and a comparison have each their own directory: what one ends with removes the other's checkpoints.

    Raises:
        ArtifactError: if a run of a graph with another name was begun there.
    """
    began = [path.name for path in (output / PIPELINE_DIRECTORY).glob("*") if path.is_dir()]
    if any(not name.startswith(f"{pipeline_name}-") for name in began):
        raise ArtifactError(f"{output} is not {pipeline_name}'s: it holds {began[0]}.", "Choose another with --out.")


def _require_sound_store(uri: str) -> None:
    """Refuse a SQLite file that is none, before hours of work lead up to it."""
    path = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or not path.is_file():
        return
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
            store.execute("PRAGMA schema_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise TrackingError(
            f"The MLflow store {path} cannot be read: {error}.", "Restore it, or move it away to begin a new one."
        ) from error


def run_locally(recipe: Recipe, output: Path, runner: Runner, progress: Progress) -> LocalRun:
    """Run the whole graph and leave ``metrics.json``, ``verdict.json``, ``report.html`` and ``bundle/``.

    Args:
        recipe: what to run.
        output: a directory that :func:`require_ready` accepted.
        runner: subprocess: this interpreter; docker: the image of ``GANVAS_IMAGE`` on a Docker-compatible engine.
        progress: is told what happens.

    Returns:
        The run, already written as ``run.json``.

    Raises:
        GanvasError: in the failing step's own words, where a step failed for another reason than the gate.
        Stopped: after SIGTERM or SIGINT, when the running step has ended.
    """
    with alone_in(output, LOCK_NAME), durable_checkpoints(output):
        prepare_output_directory(output, RUN_NAME)  # another run may have finished it since it was found ready
        return _run_alone(recipe, output, runner, progress)


@contextlib.contextmanager
def durable_checkpoints(output: Path) -> Iterator[None]:
    """Training's checkpoints go into the directory, unless the environment names another place.

    The training of a run that was stopped or failed is gone on with by the next one there; after one that ended well
    they are removed.
    """
    name, own = environment.CHECKPOINT_URI, output / CHECKPOINTS_DIRECTORY
    before = os.environ.get(name)
    os.environ[name] = before or str(own)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
    shutil.rmtree(own, ignore_errors=True)


def tell_steps(output: Path) -> None:
    """What every step of a local run is told by its environment."""
    os.environ[environment.TRACKING_URI] = tracking_uri()
    os.environ[environment.CODE_REVISION] = code_revision()
    os.environ.setdefault(environment.CACHE, str(output.parent / CACHE_DIRECTORY))
    # Steps that print nothing for minutes would look dead through a pipe's buffer.
    os.environ["PYTHONUNBUFFERED"] = "1"


def surroundings_here(runner: Runner) -> Surroundings | None:
    """What the graph itself tells its steps: a container's task with variables of its own is given no runner's."""
    return Surroundings(tracking_uri=tracking_uri()) if runner == "docker" else None


def _run_alone(recipe: Recipe, output: Path, runner: Runner, progress: Progress) -> LocalRun:
    from pipelines.graph import build_pipeline

    started = time.perf_counter()
    tell_steps(output)
    root = output / PIPELINE_DIRECTORY
    with (output / LOG_NAME).open("w") as log:
        stream = Stream(progress, log)
        build = partial(build_pipeline, recipe, around=surroundings_here(runner))
        completed = execute(build, root, runner, stream)
    tasks = task_directories(root)
    report = tasks.get(EVALUATE.task, Path("missing")) / "report"
    judged = (report / VERDICT_NAME).is_file()
    passed = judged and json.loads((report / VERDICT_NAME).read_text())["passed"]
    # An engine's word is not enough: a container that is gone before its end was seen counts as a success there.
    promoted = judged and (tasks.get(PROMOTE.task, Path("missing")) / PROMOTION_NAME).is_file()
    if judged:
        for name in (METRICS_NAME, REPORT_NAME, VERDICT_NAME):
            shutil.copyfile(report / name, output / name)
        shutil.copytree(tasks[EXPORT.task] / "bundle", output / "bundle", dirs_exist_ok=True)
    if stream.stopped_by is not None and not (completed or promoted):
        _end_in_mlflow(stream.run_id, "CANCELLED", "stopped", promotion_began=PROMOTE.task in tasks)
        raise Stopped(stream.stopped_by, output)
    message = stream.reasons[-1] if stream.reasons else ""
    outcome: Literal["passed", "failed", "error"] = "error"
    if promoted and not passed:
        outcome = "failed"
    elif promoted and completed:
        outcome = "passed"
    elif judged and not promoted and not message:
        message = "Promotion ended without leaving its result: no version was registered."
    own_work = [stage.task for stage in STAGES if stage.own_work]
    work = _work_seconds(tasks.values())
    wall = time.perf_counter() - started
    run = LocalRun(
        recipe=recipe,
        outcome=outcome,
        alias=str(_metadata(tasks.get(PROMOTE.task, Path("missing")), "alias", "")),
        wall_seconds=round(wall, 2),
        work_seconds=work,
        overhead_seconds=round(wall - sum(work.get(name, 0.0) for name in own_work), 2),
        message=message,
    )
    write_document(output / RUN_NAME, run)
    if outcome == "error":
        _end_in_mlflow(stream.run_id, "FAILED", message, promotion_began=PROMOTE.task in tasks)
        raise GanvasError(
            message or "A step ended without saying why.",
            f"{f'The report is in {output}, e' if judged else 'E'}verything that was printed in {output / LOG_NAME}.",
        )
    return run


def _end_in_mlflow(run_id: str, state: str, message: str, *, promotion_began: bool) -> None:
    """End what a failed or stopped step left open in MLflow, where one may have begun it: that imports for seconds."""
    uri = tracking_uri()
    if is_server(uri) or (promotion_began and not is_absent(uri)):
        from components.conclude.core import conclude
        from components.tracking import Tracking

        with contextlib.suppress(TrackingError):  # the run's own error is what matters
            conclude(run_id, state, message, Tracking(uri))


def execute(build: Callable[..., Any], root: Path, runner: Runner, stream: Stream) -> bool:
    """Run a graph on this machine; whether every task succeeded.

    Args:
        build: makes the pipeline of ``image``, ``retries`` and ``run_id``.
        root: where the engine keeps what the tasks leave.
        runner: subprocess or docker.
        stream: takes what the engine and the tasks print, and knows the run's id; is told of a signal that came.
    """
    from kfp import local

    image = os.environ.get("GANVAS_IMAGE", "")
    if runner == "docker" and not image:
        raise GanvasError("--runner docker needs an image.", "Set GANVAS_IMAGE to the pipeline image's name.")
    if runner == "docker" and not is_server(tracking_uri()):
        raise GanvasError(
            "--runner docker needs an MLflow server: a SQLite file here cannot be seen from a container.",
            "Start one with `make ui` and set MLFLOW_TRACKING_URI.",
        )
    kwargs = {"image": image} if runner == "docker" else {}
    pipeline = build(retries=0, run_id=stream.run_id, **kwargs)
    # What an engine is to mount and does not find it makes itself, as root's.
    root.mkdir(parents=True, exist_ok=True)
    with contextlib.redirect_stdout(stream), warnings.catch_warnings():
        # It says of every task that names, resources and images mean nothing here, which is as it should be.
        warnings.filterwarnings("ignore", module="kfp")
        if runner == "docker":
            from pipelines.docker import docker_runner

            local.init(docker_runner(), pipeline_root=str(root), raise_on_error=True)
        else:
            local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(root), raise_on_error=True)
        # Containers are the engine's own, and no children of this process.
        told = steps_are_told() if runner == "subprocess" else contextlib.nullcontext(Stop())
        with told as stop:
            try:
                pipeline()
            except (RuntimeError, ValueError):  # the latter where a container went without leaving its output
                return False
            finally:
                stream.stopped_by = stop.number
    return True


def task_directories(root: Path) -> dict[str, Path]:
    """The newest run's directory of every task that began."""
    runs = sorted(path for path in root.glob("*") if path.is_dir())
    return {path.name: path for path in runs[-1].iterdir() if path.is_dir()} if runs else {}


def _work_seconds(tasks: Iterable[Path]) -> dict[str, float]:
    """Seconds of each task's own work; those of a loop's iterations are added up under the task's own name."""
    seconds: defaultdict[str, float] = defaultdict(float)
    for task in tasks:
        inner = [path for path in task.iterdir() if path.is_dir()] if LOOP_ITERATION.fullmatch(task.name) else [task]
        for path in inner:
            seconds[path.name] += float(_metadata(path, WORK_SECONDS, 0.0))
    return {name: round(value, 3) for name, value in seconds.items()}


def _metadata(task: Path, name: str, default: Any) -> Any:
    """What a finished task said of its artifacts under a name, or the default."""
    try:
        executed = json.loads((task / "executor_output.json").read_text())
    except (OSError, json.JSONDecodeError):
        return default
    for artifact in executed.get("artifacts", {}).values():
        for entry in artifact.get("artifacts", []):
            if name in entry.get("metadata", {}):
                return entry["metadata"][name]
    return default


def champion_hint(run: LocalRun) -> str:
    """What to do next."""
    if run.alias == CHAMPION:
        return f"Serve the {CHAMPION} with: ganvas serve {run.recipe.model_name}"
    if run.alias:
        return f"It is the {run.alias}, not the {CHAMPION}: read why in the report, or move the alias yourself."
    return "No alias moved to it; read the report."
