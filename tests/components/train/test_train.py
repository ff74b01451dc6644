"""Training: a function of recipe and data, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from components.artifacts import sha256_of_file
from components.launch import launch_training
from components.recipe import Recipe, override
from components.train.checkpoint import OPTIMIZERS_NAME, WEIGHTS_NAME, read_checkpoint
from components.train.core import train
from components.train.observer import HISTORY_NAME, SAMPLES_DIRECTORY, read_history
from components.train.shelf import STEPS_DIRECTORY
from models.errors import ArtifactError, ConfigurationError

Recipes = Callable[[str], Recipe]


def test_a_checkpoint_says_what_its_tensors_are(tiny: Any) -> None:
    run = tiny("gan")
    checkpoint = read_checkpoint(run.checkpoint)
    assert checkpoint.images_seen == 640
    assert checkpoint.updates == 20
    assert checkpoint.recipe == run.recipe
    assert checkpoint.dataset_name == "digits"
    assert checkpoint.weights_sha256 == sha256_of_file(run.checkpoint / WEIGHTS_NAME)
    networks = {name.split(".")[0] for name in load_file(run.checkpoint / WEIGHTS_NAME)}
    assert networks == {"generator", "discriminator", "generator_ema"}


@pytest.mark.parametrize("family", ["gan", "vae", "ae", "ring"])
def test_the_same_seed_gives_the_same_bytes(tiny: Any, family: str, tmp_path: Path) -> None:
    run = tiny(family)
    again = train(run.recipe, run.dataset, tmp_path / "again")
    first = read_checkpoint(run.checkpoint)
    assert again.weights_sha256 == first.weights_sha256
    assert again.optimizers_sha256 == first.optimizers_sha256


def test_another_seed_gives_other_weights(tiny: Any, tmp_path: Path) -> None:
    run = tiny("gan")
    other = train(override(run.recipe, {"seed": 1}), run.dataset, tmp_path / "other")
    assert other.weights_sha256 != read_checkpoint(run.checkpoint).weights_sha256


def test_training_moves_the_weights_and_their_average_lags_behind(tiny: Any) -> None:
    tensors = load_file(tiny("gan").checkpoint / WEIGHTS_NAME)
    name = next(key for key in tensors if key.startswith("generator.") and tensors[key].dim() > 1)
    averaged = tensors[name.replace("generator.", "generator_ema.")]
    assert not torch.equal(tensors[name], averaged)


def test_the_history_has_a_row_for_every_interval_and_the_pictures_lie_beside_it(tiny: Any) -> None:
    run = tiny("gan")
    rows = read_history(run.checkpoint)
    assert [row["images_seen"] for row in rows] == list(range(64, 641, 64))
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert sorted(path.name for path in (run.checkpoint / SAMPLES_DIRECTORY).iterdir()) == [
        "000000000320.png",
        "000000000640.png",
    ]


def test_a_finished_checkpoint_carries_no_steps(tiny: Any) -> None:
    assert not (tiny("gan").checkpoint / STEPS_DIRECTORY).exists()


def test_training_can_start_from_other_weights(tiny: Any, tiny_recipe: Recipes, tmp_path: Path) -> None:
    run = tiny("gan")
    frozen = {"model.generator_learning_rate": 1e-30, "model.discriminator_learning_rate": 1e-30}
    recipe = override(tiny_recipe("gan"), {**frozen, "training.images_seen": 32, "seed": 9})
    train(recipe, run.dataset, tmp_path / "out", init_from=run.checkpoint)
    before, after = load_file(run.checkpoint / WEIGHTS_NAME), load_file(tmp_path / "out" / WEIGHTS_NAME)
    for name in before:
        if not name.startswith("generator_ema"):
            assert torch.allclose(before[name], after[name], atol=1e-7), name
    train(recipe, run.dataset, tmp_path / "fresh")
    fresh = load_file(tmp_path / "fresh" / WEIGHTS_NAME)
    assert not all(torch.allclose(before[name], fresh[name], atol=1e-3) for name in before)


def test_weights_of_another_form_are_refused(tiny: Any, tmp_path: Path) -> None:
    run = tiny("gan")
    wider = override(run.recipe, {"model.generator.base_channels": 6})
    with pytest.raises(ArtifactError, match="do not fit"):
        train(wider, run.dataset, tmp_path / "out", init_from=run.checkpoint)


@pytest.mark.parametrize("name", [WEIGHTS_NAME, OPTIMIZERS_NAME])
@pytest.mark.parametrize("harm", ["altered", "shortened", "removed"])
def test_a_mutilated_checkpoint_is_refused_by_name(tiny: Any, tmp_path: Path, name: str, harm: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny("ring").checkpoint, copy)
    content = (copy / name).read_bytes()
    match harm:
        case "altered":
            (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "shortened":
            (copy / name).write_bytes(content[:-10])
        case _:
            (copy / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        read_checkpoint(copy)


def test_a_batch_that_the_processes_cannot_share_is_a_configuration_error(
    tiny_recipe: Recipes, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.train.core import _Run
    from components.train.processes import Processes

    recipe = override(tiny_recipe("gan"), {"training.batch_size": 32})
    with pytest.raises(ConfigurationError, match=r"batch_size=32.*3 processes"):
        _Run(recipe, digits, tmp_path, Processes(0, 3, torch.device("cpu")), "", "")


@pytest.mark.parametrize(("uri", "missing"), [("", "checkpoint_uri is not given"), ("s3://b/p", "GANVAS_CLUSTER")])
def test_several_machines_without_what_they_need_are_refused_before_anything_starts(
    tiny_recipe: Recipes, digits: Path, tmp_path: Path, uri: str, missing: str
) -> None:
    two = override(tiny_recipe("gan"), {"resources.nodes": 2})
    with pytest.raises(ConfigurationError, match=rf"resources\.nodes=2: .*{missing}"):
        launch_training(two, digits, tmp_path / "out", checkpoint_uri=uri)
    assert not (tmp_path / "out").exists()


def test_a_half_written_dataset_is_refused(tiny_recipe: Recipes, digits: Path, tmp_path: Path) -> None:
    shutil.copytree(digits, tmp_path / "half")
    (tmp_path / "half" / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="half-written"):
        train(tiny_recipe("gan"), tmp_path / "half", tmp_path / "out")


def test_a_finished_checkpoint_is_not_overwritten(tiny: Any) -> None:
    run = tiny("gan")
    with pytest.raises(ArtifactError, match="finished"):
        train(run.recipe, run.dataset, run.checkpoint)


def test_a_history_cut_short_by_a_kill_loses_its_last_line_only(tmp_path: Path) -> None:
    rows = [{"images_seen": 1, "loss": 0.5}, {"images_seen": 2, "loss": 0.25}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / HISTORY_NAME).write_text(text[:-9])
    assert read_history(tmp_path) == rows[:1]
    assert read_history(tmp_path / "absent") == []


def test_a_launch_refuses_it_in_one_line_before_any_process(tiny_recipe: Recipes, digits: Path, tmp_path: Path) -> None:
    recipe = override(tiny_recipe("gan"), {"resources.processes_per_node": 3})
    with pytest.raises(ConfigurationError, match="cannot be shared by 3 processes"):
        launch_training(recipe, digits, tmp_path / "out")
