"""Checkpoints on the way: the newest and the best stay, a durable place gives them back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from components.recipe import Recipe, override
from components.train.checkpoint import WEIGHTS_NAME, read_checkpoint
from components.train.core import train
from components.train.observer import read_history
from components.train.processes import Processes
from components.train.shelf import Shelf, newest_checkpoint
from models.errors import ArtifactError
from models.steps.build import build_step
from models.steps.step import Execution

Recipes = Callable[[str], Recipe]
ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture
def recipe(tiny_recipe: Recipes) -> Recipe:
    return override(tiny_recipe("ring"), {"training.checkpoints_kept": 2})


@pytest.fixture
def put(recipe: Recipe) -> Callable[[Shelf, int, float | None], None]:
    step = build_step(recipe.model, (2,), 8, Execution(torch.device("cpu")))

    def put(shelf: Shelf, images_seen: int, score: float | None) -> None:
        described = {"recipe": recipe, "images_seen": images_seen, "updates": images_seen, "score": score}
        data = {"dataset_name": "ring", "dataset_fingerprint": "f", "sample_shape": [2], "class_names": []}
        shelf.put(step, {**described, **data, "processes": 1})

    return put


def names(output: Path) -> list[int]:
    return sorted(int(path.name) for path in (output / "steps").iterdir())


def test_the_newest_and_the_best_are_kept(recipe: Recipe, tmp_path: Path, put: Any) -> None:
    shelf = Shelf(tmp_path, "", recipe, "f")
    for images_seen, score in ((10, 3.0), (20, 1.0), (30, 2.0), (40, 5.0), (50, None)):
        put(shelf, images_seen, score)
    assert names(tmp_path) == [20, 40, 50]
    best, newest = shelf.best(), shelf.newest()
    assert best is not None and best.name == "000000000020"
    assert newest is not None and newest.name == "000000000050"
    (best / WEIGHTS_NAME).write_bytes(b"")
    second = shelf.best()
    assert second is not None and second.name == "000000000040"


def test_an_altered_checkpoint_is_passed_over(recipe: Recipe, tmp_path: Path, put: Any) -> None:
    shelf = Shelf(tmp_path, "", recipe, "f")
    put(shelf, 10, None)
    put(shelf, 20, None)
    weights = tmp_path / "steps" / "000000000020" / WEIGHTS_NAME
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    newest = newest_checkpoint(tmp_path)
    assert newest is not None and newest.name == "000000000010"


def test_later_ones_can_be_removed(recipe: Recipe, tmp_path: Path, put: Any) -> None:
    shelf = Shelf(tmp_path, "", recipe, "f")
    put(shelf, 10, None)
    put(shelf, 20, None)
    shelf.remove_after(15)
    assert names(tmp_path) == [10]


def test_an_empty_disk_is_filled_from_the_durable_place(recipe: Recipe, tmp_path: Path, put: Any) -> None:
    durable = str(tmp_path / "durable")
    shelf = Shelf(tmp_path / "first", durable, recipe, "f")
    for images_seen in (10, 20, 30):
        put(shelf, images_seen, None)
    found = Shelf(tmp_path / "second", durable, recipe, "f").find(ALONE)
    assert found is not None
    assert found == tmp_path / "second" / "steps" / "000000000030"
    assert read_checkpoint(found) == read_checkpoint(tmp_path / "first" / "steps" / "000000000030")
    shelf.clear()
    assert Shelf(tmp_path / "third", durable, recipe, "f").find(ALONE) is None


def test_another_run_does_not_find_it(recipe: Recipe, tmp_path: Path, put: Any) -> None:
    durable = str(tmp_path / "durable")
    put(Shelf(tmp_path / "first", durable, recipe, "f"), 10, None)
    assert Shelf(tmp_path / "other", durable, override(recipe, {"seed": 1}), "f").find(ALONE) is None
    assert Shelf(tmp_path / "other", durable, recipe, "g").find(ALONE) is None


def test_a_run_goes_on_from_another_runs_checkpoint_by_a_copy_of_its_own(
    recipe: Recipe, tmp_path: Path, put: Any
) -> None:
    place = str(tmp_path / "durable")
    left = Shelf(tmp_path / "a", place, recipe, "f", "run-a")
    for images_seen in (10, 20):
        put(left, images_seen, None)
    assert Shelf(tmp_path / "b", place, recipe, "f", "run-b").find(ALONE, others=False) is None
    assert Shelf(tmp_path / "b", place, override(recipe, {"seed": 1}), "f", "run-b").find(ALONE) is None
    second = Shelf(tmp_path / "b", place, recipe, "f", "run-b")
    found = second.find(ALONE)
    assert found is not None and found.name == "000000000020"
    left.clear()  # as its own run does at its end
    again = Shelf(tmp_path / "b-retried", place, recipe, "f", "run-b").find(ALONE)
    assert again is not None and again.name == "000000000020"


def test_what_one_of_two_equal_trainings_clears_the_other_keeps(recipe: Recipe, tmp_path: Path, put: Any) -> None:
    place = str(tmp_path / "durable")
    runs = {run: Shelf(tmp_path / run, place, recipe, "f", run) for run in ("run-a", "run-b", "", "r u n/c")}
    for shelf in runs.values():
        put(shelf, 10, None)
    names = [path.name for path in Path(place).iterdir()]
    assert len(names) == 4 and sum(name.endswith(("-run-a", "-run-b")) for name in names) == 2
    runs["run-a"].clear()
    kept = {path.parent.parent.name for path in Path(place).glob("*/*/checkpoint.json")}
    assert kept == {name for name in names if not name.endswith("-run-a")}


class Crash(Exception):
    pass


class CrashAt:
    """The pod is gone, and its disk with it."""

    def __init__(self, images_seen: int) -> None:
        self._at = images_seen
        self.heard: list[int] = []

    def on_numbers(self, images_seen: int, numbers: dict[str, float]) -> None:
        self.heard.append(images_seen)
        if images_seen >= self._at:
            raise Crash

    def on_samples(self, *_: Any) -> None: ...

    def on_alarm(self, *_: Any) -> None: ...

    def on_rollback(self, *_: Any) -> None: ...


def test_a_retried_pod_goes_on_byte_for_byte(tiny: Any, tmp_path: Path) -> None:
    run = tiny("ring")
    durable = str(tmp_path / "durable")
    with pytest.raises(Crash):
        train(run.recipe, run.dataset, tmp_path / "pod-1", checkpoint_uri=durable, observers=[CrashAt(384)])
    heard = CrashAt(10**9)
    resumed = train(run.recipe, run.dataset, tmp_path / "pod-2", checkpoint_uri=durable, observers=[heard])
    assert resumed.weights_sha256 == read_checkpoint(run.checkpoint).weights_sha256
    assert resumed.optimizers_sha256 == read_checkpoint(run.checkpoint).optimizers_sha256
    assert heard.heard[0] > 64  # it did not start over
    whole = [row["images_seen"] for row in read_history(run.checkpoint)]
    assert [row["images_seen"] for row in read_history(tmp_path / "pod-2")] == whole
    assert not list(Path(durable).rglob("*.safetensors"))


def test_other_weights_and_an_interrupted_training_exclude_each_other(tiny: Any, tmp_path: Path) -> None:
    run = tiny("ring")
    with pytest.raises(Crash):
        train(run.recipe, run.dataset, tmp_path, observers=[CrashAt(384)])
    with pytest.raises(ArtifactError, match="interrupted training"):
        train(run.recipe, run.dataset, tmp_path, init_from=run.checkpoint)
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    started = train(run.recipe, run.dataset, tmp_path, init_from=newest, resume="never")
    assert started.images_seen == 640
