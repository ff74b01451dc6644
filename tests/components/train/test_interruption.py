"""Interrupted and resumed training is the same training, byte for byte."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from components.launch import launch_training
from components.recipe import Recipe, override
from components.train.checkpoint import WEIGHTS_NAME, Checkpoint, read_checkpoint
from components.train.core import Interrupted, train
from components.train.observer import read_history
from components.train.shelf import newest_checkpoint
from components.train.worker import Job
from models.alarms import Alarm
from models.errors import ArtifactError
from tests.once import made_once

Recipes = Callable[[str], Recipe]
START_SECONDS = 180.0  # until the first checkpoint of a process that imports torch on a machine with other work
LONG = {"training.images_seen": 1_280, "training.checkpoint_every_images": 128, "training.log_every_images": 128}


class Crash(Exception):
    """The process dies here."""


@dataclass
class CrashAt:
    """An observer at whose word training ends, after ``images_seen``."""

    images_seen: int
    act: Callable[[], None]

    def on_numbers(self, images_seen: int, numbers: dict[str, float]) -> None:
        if images_seen >= self.images_seen:
            self.act()

    def on_samples(self, images_seen: int, png: bytes) -> None:
        pass

    def on_alarm(self, images_seen: int, alarm: Alarm) -> None:
        pass

    def on_rollback(self, images_seen: int, text: str) -> None:
        pass


def crash() -> None:
    raise Crash


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def told(output: Path) -> list[dict[str, float]]:
    """The history without what is measured by a clock."""
    clocked = {"images_per_second", "wall_seconds"}
    return [{name: value for name, value in row.items() if name not in clocked} for row in read_history(output)]


def assert_same(first: Checkpoint, first_output: Path, second: Checkpoint, second_output: Path) -> None:
    assert first.weights_sha256 == second.weights_sha256
    assert first.optimizers_sha256 == second.optimizers_sha256
    assert (first.images_seen, first.updates) == (second.images_seen, second.updates)
    assert told(first_output) == told(second_output)


@pytest.mark.parametrize("family", ["gan", "vae", "ae", "ring"])
def test_a_crash_at_any_moment_leaves_no_trace(tiny: Any, tmp_path: Path, family: str) -> None:
    run = tiny(family)
    for moment in (128, 448):  # first crash, then another one after resuming
        with pytest.raises(Crash):
            train(run.recipe, run.dataset, tmp_path, observers=[CrashAt(moment, crash)])
        with pytest.raises(ArtifactError, match="half-written"):
            read_checkpoint(tmp_path)
    resumed = train(run.recipe, run.dataset, tmp_path)
    assert_same(resumed, tmp_path, read_checkpoint(run.checkpoint), run.checkpoint)


def test_several_discriminator_steps_resume_as_well(tiny_recipe: Recipes, ring: Path, tmp_path: Path) -> None:
    recipe = override(tiny_recipe("ring"), {"model.discriminator_steps": 3})
    whole = train(recipe, ring, tmp_path / "whole")
    with pytest.raises(Crash):
        train(recipe, ring, tmp_path / "cut", observers=[CrashAt(300, crash)])
    assert_same(train(recipe, ring, tmp_path / "cut"), tmp_path / "cut", whole, tmp_path / "whole")


def test_a_crash_before_the_first_checkpoint_starts_over(tiny: Any, tmp_path: Path) -> None:
    run = tiny("ring")
    with pytest.raises(Crash):
        train(run.recipe, run.dataset, tmp_path, observers=[CrashAt(64, crash)])
    assert newest_checkpoint(tmp_path) is None
    resumed = train(run.recipe, run.dataset, tmp_path)
    assert_same(resumed, tmp_path, read_checkpoint(run.checkpoint), run.checkpoint)


def test_a_checkpoint_that_was_not_completed_is_passed_over(tiny: Any, tmp_path: Path) -> None:
    run = tiny("ring")
    with pytest.raises(Crash):
        train(run.recipe, run.dataset, tmp_path, observers=[CrashAt(448, crash)])
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    half = tmp_path / "steps" / "000000000448"
    shutil.copytree(newest, half)
    (half / "checkpoint.json").unlink()
    (half / WEIGHTS_NAME).write_bytes(b"half of it")
    assert newest_checkpoint(tmp_path) == newest
    resumed = train(run.recipe, run.dataset, tmp_path)
    assert_same(resumed, tmp_path, read_checkpoint(run.checkpoint), run.checkpoint)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 5}, "seed"),
        ({"model.r1_weight": 0.5}, "model"),
        ({"training.batch_size": 16}, "training"),
        ({"seed": 5, "training.images_seen": 320}, "seed and training"),
    ],
)
def test_other_settings_are_refused_naming_what_differs(
    tiny: Any, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    run = tiny("ring")
    with pytest.raises(Crash):
        train(run.recipe, run.dataset, tmp_path, observers=[CrashAt(128, crash)])
    with pytest.raises(ArtifactError, match=f"another {named}") as raised:
        train(override(run.recipe, changes), run.dataset, tmp_path)
    assert "--resume never" in raised.value.remedy


def test_other_data_is_refused(tiny: Any, tmp_path: Path) -> None:
    from components.prepare.core import prepare

    run = tiny("ring")
    with pytest.raises(Crash):
        train(run.recipe, run.dataset, tmp_path / "out", observers=[CrashAt(128, crash)])
    prepare(run.recipe.data.model_copy(update={"rows": 5_000}), tmp_path / "other")
    with pytest.raises(ArtifactError, match="another dataset"):
        train(run.recipe, tmp_path / "other", tmp_path / "out")


def test_how_closely_a_run_is_watched_may_change(tiny: Any, tmp_path: Path) -> None:
    run = tiny("ring")
    with pytest.raises(Crash):
        train(run.recipe, run.dataset, tmp_path, observers=[CrashAt(128, crash)])
    watched = override(run.recipe, {"training.log_every_images": 32, "training.checkpoints_kept": 1})
    resumed = train(watched, run.dataset, tmp_path)
    assert resumed.weights_sha256 == read_checkpoint(run.checkpoint).weights_sha256


def test_starting_over_forgets_the_earlier_attempt(tiny: Any, tmp_path: Path) -> None:
    run = tiny("ring")
    other = override(run.recipe, {"seed": 5})
    with pytest.raises(Crash):
        train(other, run.dataset, tmp_path, observers=[CrashAt(576, crash)])
    with pytest.raises(Crash):
        train(run.recipe, run.dataset, tmp_path, resume="never", observers=[CrashAt(192, crash)])
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert int(newest.name) == 128
    resumed = train(run.recipe, run.dataset, tmp_path)
    assert_same(resumed, tmp_path, read_checkpoint(run.checkpoint), run.checkpoint)


def test_sigterm_leaves_a_checkpoint_of_that_very_moment(tiny: Any, tmp_path: Path) -> None:
    run = tiny("ring")
    stop = CrashAt(320, lambda: signal.raise_signal(signal.SIGTERM))
    coarse = override(run.recipe, {"training.checkpoint_every_images": 10_000})
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="320 images"):
        train(coarse, run.dataset, tmp_path, observers=[stop])
    assert signal.getsignal(signal.SIGTERM) == before
    assert newest_checkpoint(tmp_path) == tmp_path / "steps" / "000000000320"
    resumed = train(coarse, run.dataset, tmp_path)
    assert_same(resumed, tmp_path, read_checkpoint(run.checkpoint), run.checkpoint)


@pytest.fixture(scope="session")
def uninterrupted(tiny_recipe: Recipes, digits: Path, artifacts: Path) -> tuple[Recipe, Path]:
    """A longer training, so that there is time to kill another one of its kind."""
    recipe = override(tiny_recipe("gan"), LONG)
    return recipe, made_once(artifacts / "uninterrupted", partial(train, recipe, digits))


@pytest.fixture(scope="session")
def uninterrupted_by_two(tiny_recipe: Recipes, digits: Path, artifacts: Path) -> tuple[Recipe, Path]:
    """The same by two processes."""
    recipe = override(tiny_recipe("gan"), {**LONG, "resources.processes_per_node": 2})
    return recipe, made_once(artifacts / "uninterrupted-by-two", partial(launch_training, recipe, digits))


@pytest.mark.long
@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_a_killed_process_is_gone_on_from_byte_for_byte(
    uninterrupted: tuple[Recipe, Path],
    digits: Path,
    tmp_path: Path,
    subprocess_environment: dict[str, str],
    number: signal.Signals,
    code: int,
) -> None:
    recipe, whole = uninterrupted
    output = tmp_path / "out"
    (tmp_path / "job.json").write_text(Job(recipe=recipe, dataset=str(digits), output=output).model_dump_json())
    process = subprocess.Popen(
        [sys.executable, "-m", "components.train.worker", str(tmp_path / "job.json")],
        env=subprocess_environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + START_SECONDS
    while newest_checkpoint(output) is None and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    _, words = process.communicate(timeout=60)
    assert process.returncode == code
    assert not (output / "checkpoint.json").exists()
    assert newest_checkpoint(output) is not None
    if number == signal.SIGTERM:
        assert "error: Training was asked to stop" in words
        assert "Traceback" not in words
    resumed = train(recipe, digits, output)
    assert_same(resumed, output, read_checkpoint(whole), whole)


@pytest.mark.long
def test_two_processes_compute_what_one_does(
    uninterrupted: tuple[Recipe, Path], uninterrupted_by_two: tuple[Recipe, Path]
) -> None:
    assert read_checkpoint(uninterrupted_by_two[1]).processes == 2
    one, both = (load_file(place / WEIGHTS_NAME) for _, place in (uninterrupted, uninterrupted_by_two))
    assert one.keys() == both.keys()
    for name in one:
        # A relativistic loss does not depend on D's last bias: its gradient is nothing but rounding.
        if not name.endswith("body.out.bias"):
            assert torch.allclose(one[name], both[name], atol=1e-4), name


@pytest.mark.long
def test_two_killed_processes_are_gone_on_from_byte_for_byte(
    uninterrupted_by_two: tuple[Recipe, Path],
    digits: Path,
    tmp_path: Path,
    subprocess_environment: dict[str, str],
) -> None:
    recipe, whole = uninterrupted_by_two
    job = Job(recipe=recipe, dataset=str(digits), output=tmp_path / "cut")
    (tmp_path / "job.json").write_text(job.model_dump_json())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    process = subprocess.Popen(
        [*torchrun, "-m", "components.train.worker", str(tmp_path / "job.json")],
        env=subprocess_environment,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + START_SECONDS
    while newest_checkpoint(tmp_path / "cut") is None and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    for pid in [*children_of(process.pid), process.pid]:  # each worker has a session of its own
        os.kill(pid, signal.SIGKILL)
    process.wait(timeout=60)
    assert newest_checkpoint(tmp_path / "cut") is not None
    resumed = launch_training(recipe, digits, tmp_path / "cut")
    assert_same(resumed, tmp_path / "cut", read_checkpoint(whole), whole)


@pytest.mark.long
def test_a_terminated_launch_leaves_no_process_and_a_checkpoint(
    tiny_recipe: Recipes, digits: Path, tmp_path: Path, subprocess_environment: dict[str, str]
) -> None:
    """SIGTERM reaches the one that started torchrun: both ranks agree on the update, save it, and all are gone."""
    changes = {**LONG, "training.images_seen": 10_000_000, "resources.processes_per_node": 2}
    recipe = override(tiny_recipe("gan"), changes)
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json())
    program = (
        "import sys\nfrom pathlib import Path\nfrom components.launch import launch_training\n"
        "from components.recipe import parse_recipe\nfrom models.errors import GanvasError\n"
        "try: launch_training(parse_recipe(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), Path(sys.argv[3]))\n"
        "except GanvasError as error: print(error); sys.exit(error.exit_code)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "recipe.json"), str(digits), str(tmp_path / "out")],
        env=subprocess_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + START_SECONDS
    while newest_checkpoint(tmp_path / "out") is None and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    (agent,) = children_of(process.pid)
    started = [agent, *children_of(agent)]
    assert len(started) >= 3
    process.send_signal(signal.SIGTERM)
    words, _ = process.communicate(timeout=90)
    assert process.returncode == 143
    assert "asked to stop" in words
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    newest = newest_checkpoint(tmp_path / "out")
    assert newest is not None
    assert read_checkpoint(newest).processes == 2
