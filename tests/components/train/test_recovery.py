"""Divergence: training goes back to the last healthy checkpoint, changes something, says so, and gives up in time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from components.recipe import Recipe, override
from components.train.checkpoint import WEIGHTS_NAME, read_checkpoint
from components.train.core import train
from components.train.observer import EVENTS_NAME, Files, read_events, read_history
from models.alarms import Alarm
from models.errors import TrainingError
from models.steps.batch import Batch, Moment
from models.steps.gan import GanStep
from models.steps.step import Draws

Recipes = Callable[[str], Recipe]
Update = Callable[[GanStep, list[Batch], Draws, Moment], None]


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[GanStep, Moment], None]], None]:
    """Lets something happen to the networks after every update."""

    def install(act: Callable[[GanStep, Moment], None]) -> None:
        original = GanStep.update

        def update(step: GanStep, batches: list[Batch], draws: Draws, moment: Moment) -> None:
            original(step, batches, draws, moment)
            act(step, moment)

        monkeypatch.setattr(GanStep, "update", update)

    return install


def events(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / EVENTS_NAME).read_text().splitlines()]


def poison(step: GanStep, moment: Moment) -> None:
    """The first attempt meets a weight that is not a number; what the roll-back changes keeps it away."""
    if moment.images_seen == 320 and moment.penalty_factor == 1.0:
        with torch.no_grad():
            next(step.generator.parameters()).fill_(float("nan"))


def collapse(step: GanStep, moment: Moment) -> None:
    """From a moment on the generator of the first attempt shows one sample."""
    if moment.images_seen >= 320 and moment.penalty_factor == 1.0:
        with torch.no_grad():
            for parameter in step.generator.parameters():
                parameter.zero_()


@pytest.mark.parametrize(("act", "name"), [(poison, "non-finite"), (collapse, "mode-collapse")])
def test_a_divergence_is_rolled_back_and_recovered_from(
    tiny_recipe: Recipes, ring: Path, tmp_path: Path, fault: Any, act: Any, name: str
) -> None:
    fault(act)
    recipe = override(tiny_recipe("ring"), {"training.checkpoints_kept": 8, "training.log_every_images": 32})
    checkpoint = train(recipe, ring, tmp_path)
    assert checkpoint.rollbacks == 1
    assert checkpoint.images_seen == 640
    told = events(tmp_path)
    (back,) = (event for event in told if event["event"] == "roll-back")
    assert back["text"].startswith(name)
    assert 0 < back["images_seen"] <= 320
    assert "learning rates x 0.5" in back["text"]
    history = read_history(tmp_path)
    assert [row["images_seen"] for row in history] == sorted({row["images_seen"] for row in history})
    assert history[-1]["diversity"] > 0.1
    assert all(torch.isfinite(tensor).all() for tensor in load_file(tmp_path / WEIGHTS_NAME).values())


def test_without_a_checkpoint_it_starts_over(tiny_recipe: Recipes, ring: Path, tmp_path: Path, fault: Any) -> None:
    fault(poison)
    recipe = override(tiny_recipe("ring"), {"training.checkpoint_every_images": 10_000})
    assert train(recipe, ring, tmp_path).rollbacks == 1
    (back,) = (event for event in events(tmp_path) if event["event"] == "roll-back")
    assert back["images_seen"] == 0


def test_it_gives_up_after_the_stated_number(tiny_recipe: Recipes, ring: Path, tmp_path: Path, fault: Any) -> None:
    def always(step: GanStep, moment: Moment) -> None:
        if moment.images_seen == 320:
            with torch.no_grad():
                next(step.generator.parameters()).fill_(float("nan"))

    fault(always)
    recipe = override(tiny_recipe("ring"), {"training.recovery.attempts": 2})
    with pytest.raises(TrainingError, match=r"diverged after \d+ images.*2 roll-backs did not help") as raised:
        train(recipe, ring, tmp_path)
    assert "attempts" in raised.value.remedy
    assert not (tmp_path / "checkpoint.json").exists()


def test_no_attempts_means_the_first_divergence_ends_it(
    tiny_recipe: Recipes, ring: Path, tmp_path: Path, fault: Any
) -> None:
    fault(poison)
    with pytest.raises(TrainingError, match="diverged"):
        train(override(tiny_recipe("ring"), {"training.recovery.attempts": 0}), ring, tmp_path)


def test_a_rolled_back_training_resumes_byte_for_byte(
    tiny_recipe: Recipes, ring: Path, tmp_path: Path, fault: Any
) -> None:
    fault(poison)
    recipe = tiny_recipe("ring")
    whole = train(recipe, ring, tmp_path / "whole")

    class Crash(Exception):
        pass

    class CrashAt:
        def on_numbers(self, images_seen: int, numbers: dict[str, float]) -> None:
            if images_seen >= 512:
                raise Crash

        def on_samples(self, *_: Any) -> None: ...

        def on_alarm(self, *_: Any) -> None: ...

        def on_rollback(self, *_: Any) -> None: ...

    with pytest.raises(Crash):
        train(recipe, ring, tmp_path / "cut", observers=[CrashAt()])
    resumed = train(recipe, ring, tmp_path / "cut")
    assert resumed.rollbacks == whole.rollbacks == 1
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.optimizers_sha256 == whole.optimizers_sha256


def test_the_best_checkpoint_ends_the_training_where_asked(tiny_recipe: Recipes, ring: Path, tmp_path: Path) -> None:
    """Wherever training wanders to, what it ends with scores no worse than any checkpoint on the way."""
    recipe = override(
        tiny_recipe("ring"),
        {"training.finish_with": "best", "training.checkpoints_kept": 1, "model.generator_learning_rate": 0.05},
    )
    checkpoint = train(recipe, ring, tmp_path / "best")
    last = train(override(recipe, {"training.finish_with": "last"}), ring, tmp_path / "last")
    scores = [row["energy_distance"] for row in read_history(tmp_path / "best")]
    assert checkpoint.score is not None
    assert last.score == pytest.approx(scores[-1])
    if min(scores[:-1]) < scores[-1]:
        assert checkpoint.weights_sha256 != last.weights_sha256
        assert checkpoint.score == pytest.approx(min(scores))
    assert read_checkpoint(tmp_path / "best").score == checkpoint.score


def test_events_after_the_resumed_moment_are_told_once(tmp_path: Path) -> None:
    """Files are opened anew on resuming, as of a checkpoint: of so many images, behind so many roll-backs."""
    alarm = Alarm("mode-collapse", "one sample", "", fatal=True)

    def told(resumed_at: int, rollbacks: int) -> list[tuple[int, str]]:
        files = Files(tmp_path, 0)
        files.on_alarm(100, alarm)
        files.on_alarm(512, alarm)
        files.on_rollback(256, "back")
        files.on_alarm(320, alarm)
        files.on_alarm(384, alarm)
        Files(tmp_path, resumed_at, rollbacks)
        return [(event["images_seen"], event["event"]) for event in read_events(tmp_path)]

    first, diverged, back = (100, "mode-collapse"), (512, "mode-collapse"), (256, "roll-back")
    assert told(320, 1) == [first, diverged, back, (320, "mode-collapse")]
    assert told(256, 0) == [first]  # its roll-back comes again
    assert told(64, 0) == []
