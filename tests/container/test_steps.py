"""What the container test makes of a run: a task that left nothing is found, whatever the engine said of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.stages import STAGES
from tests.container.graph import EXECUTED_NAME, container_seconds, incomplete_steps


@pytest.fixture
def tasks(tiny: Any, tmp_path: Path) -> dict[str, Path]:
    """The directories of a run in which every task left its output."""
    made = tiny("ring")
    contents = {"prepare-data": {"dataset": made.dataset}, "train-model": {"checkpoint": made.checkpoint}}
    contents |= {"fit-feature-extractor": {"extractor": made.extractor}, "export-model": {"bundle": made.bundle}}
    contents |= {"evaluate-model": {"report": made.report}}
    found = {}
    for stage in STAGES:
        name = "for-loop-1-iteration-0" if stage.task == "read-source" else stage.task
        found[name] = tmp_path / name
        task = found[name] / stage.task if stage.task == "read-source" else found[name]
        task.mkdir(parents=True)
        (task / EXECUTED_NAME).write_text(json.dumps({"parameterValues": {"recipe": "{}"}}))
        for artifact, source in contents.get(stage.task, {}).items():
            shutil.copytree(source, task / artifact)
    (found["promote-model"] / "promotion").write_text("version 1\n")
    units = found["for-loop-1-iteration-0"] / "read-source" / "units"
    units.mkdir()
    (units / "partition.json").write_text("{}")
    return found


def test_a_complete_run_lacks_nothing(tasks: dict[str, Path]) -> None:
    assert incomplete_steps(tasks) == []


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.task)
def test_a_task_whose_container_vanished_is_named(tasks: dict[str, Path], stage: Any) -> None:
    name = "for-loop-1-iteration-0" if stage.task == "read-source" else stage.task
    shutil.rmtree(tasks[name])
    assert [line.split(":")[0] for line in incomplete_steps(tasks)] == [stage.task]
    del tasks[name]
    assert incomplete_steps(tasks) == [f"{stage.task} left nothing"]


def cut(name: str) -> Callable[[Path], object]:
    return lambda task: (task / name).write_bytes((task / name).read_bytes()[:-20])


@pytest.mark.parametrize(
    ("task", "spoil"),
    [
        ("prepare-data", cut("dataset/manifest.json")),
        ("train-model", lambda task: (task / "checkpoint/checkpoint.json").unlink()),
        ("fit-feature-extractor", cut("extractor/extractor.json")),
        ("export-model", cut("bundle/generator.onnx")),
        ("evaluate-model", lambda task: (task / "report/verdict.json").unlink()),
    ],
)
def test_an_incomplete_artifact_is_named(tasks: dict[str, Path], task: str, spoil: Callable[[Path], object]) -> None:
    spoil(tasks[task])
    assert [line.split(":")[0] for line in incomplete_steps(tasks)] == [task]


def test_seconds_are_read_from_the_engines_lines_past_midnight_and_over_iterations() -> None:
    log = (
        "23:59:59.500 - INFO - Executing task \x1b[96m'train-model'\x1b[0m\n"
        "» said in between\n"
        "00:00:01.250 - INFO - Task \x1b[96m'train-model'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m\n"
        "00:00:02.000 - INFO - Executing task 'read-source'\n"
        "00:00:03.000 - INFO - Task 'read-source' finished with status SUCCESS\n"
        "00:00:04.000 - INFO - Executing task 'read-source'\n"
        "00:00:06.000 - ERROR - Task 'read-source' finished with status FAILURE\n"
    )
    assert container_seconds(log) == {"train-model": 1.75, "read-source": 3.0}
