"""``checkpoint.json`` and the tensors beside it: enough to go on bit for bit on the same machine.

The learning rates, the sampler's position and all noise are functions of (seed, images seen), so that weights,
optimizer moments and that one number are the whole state.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import numpy
import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from components.artifacts import Document, read_document, sha256_of_file, sha256_of_json, write_document
from components.recipe import Recipe
from models.errors import ArtifactError
from models.steps.step import TrainingStep

CHECKPOINT_NAME = "checkpoint.json"
WEIGHTS_NAME = "weights.safetensors"
OPTIMIZERS_NAME = "optimizers.safetensors"


class Checkpoint(Document):
    """What the tensors beside it are."""

    recipe: Recipe
    images_seen: int
    updates: int
    dataset_name: str
    dataset_fingerprint: str
    sample_shape: list[int]
    class_names: list[str]
    fit: Literal["crop", "pad"] = Field(default="crop", description="as the Dataset's manifest has it")
    rollbacks: int = Field(default=0, description="divergences that training went back from")
    score: float | None = Field(default=None, description="the number that the best checkpoint has lowest")
    processes: int = Field(description="training processes; with another number going on is not bit for bit")
    weights_sha256: str
    optimizers_sha256: str
    versions: dict[str, str]
    mlflow_run_id: str = ""


def identity(recipe: Recipe, dataset_fingerprint: str) -> dict[str, Any]:
    """Everything that training's result depends on, by field. Two runs with equal identities are the same run."""
    training = recipe.training.model_dump(mode="json")
    for watched in ("log_every_images", "sample_every_images", "checkpoint_every_images", "checkpoints_kept"):
        del training[watched]
    return {
        "seed": recipe.seed,
        "model": recipe.model.model_dump(mode="json"),
        "training": training,
        "dataset": dataset_fingerprint,
    }


def software_versions() -> dict[str, str]:
    """Versions that decide whether a resumed run is the same, bit for bit."""
    return {"torch": str(torch.__version__), "numpy": numpy.__version__}


def save_checkpoint(directory: Path, step: TrainingStep, **described: Any) -> Checkpoint:
    """Write the networks and optimizers, then the document that completes them."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, tensors in ((WEIGHTS_NAME, _network_tensors(step.networks)), (OPTIMIZERS_NAME, _optimizer_tensors(step))):
        save_file(tensors, directory / name)
        _flush(directory / name)
    checkpoint = Checkpoint(
        weights_sha256=sha256_of_file(directory / WEIGHTS_NAME),
        optimizers_sha256=sha256_of_file(directory / OPTIMIZERS_NAME),
        versions=software_versions(),
        **described,
    )
    write_document(directory / CHECKPOINT_NAME, checkpoint)
    return checkpoint


def read_checkpoint(directory: Path) -> Checkpoint:
    """The document of a finished checkpoint.

    Raises:
        ArtifactError: if it is incomplete or its tensors are not the ones it was written for.
    """
    checkpoint = read_document(directory, CHECKPOINT_NAME, Checkpoint)
    for name, expected in ((WEIGHTS_NAME, checkpoint.weights_sha256), (OPTIMIZERS_NAME, checkpoint.optimizers_sha256)):
        path = directory / name
        if not path.is_file() or sha256_of_file(path) != expected:
            raise ArtifactError(f"{path} is missing or altered.", "Train again, or name another checkpoint.")
    return checkpoint


def is_whole(directory: Path) -> bool:
    """Whether a checkpoint is there, complete and unaltered."""
    try:
        read_checkpoint(directory)
    except ArtifactError:
        return False
    return True


def load_weights(directory: Path, networks: dict[str, nn.Module]) -> None:
    """Put a checkpoint's weights into networks of the same names.

    Raises:
        ArtifactError: if a network there has another form.
    """
    tensors = load_file(directory / WEIGHTS_NAME)
    for name, network in networks.items():
        prefix = f"{name}."
        state = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise ArtifactError(
                f"The weights in {directory} do not fit this recipe's {name}: {str(error).splitlines()[-1].strip()}",
                "Use the recipe that they were trained with.",
            ) from error


def load_optimizers(directory: Path, step: TrainingStep) -> None:
    """Put a checkpoint's optimizer moments back."""
    tensors = load_file(directory / OPTIMIZERS_NAME)
    for name, optimizer in step.optimizers.items():
        state: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            owner, index, field = key.split("/")
            if owner == name:
                state.setdefault(int(index), {})[field] = tensor
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def require_same_run(found: Checkpoint, recipe: Recipe, dataset_fingerprint: str, directory: Path) -> None:
    """Refuse to go on from a checkpoint of other settings.

    Raises:
        ArtifactError: naming the part that differs.
    """
    before, now = identity(found.recipe, found.dataset_fingerprint), identity(recipe, dataset_fingerprint)
    different = [part for part in now if sha256_of_json(before[part]) != sha256_of_json(now[part])]
    if different:
        raise ArtifactError(
            f"{directory} was trained with another {' and '.join(different)}.",
            "Choose another --out; there, --init-from starts from these weights. Or start over with --resume never.",
        )


def _flush(path: Path) -> None:
    """Onto the disk before the document says that it is there."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _network_tensors(networks: dict[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": tensor.detach().cpu().contiguous()
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }


def _optimizer_tensors(step: TrainingStep) -> dict[str, Tensor]:
    return {
        f"{name}/{index}/{field}": tensor.detach().cpu().contiguous()
        for name, optimizer in step.optimizers.items()
        for index, state in optimizer.state_dict()["state"].items()
        for field, tensor in state.items()
    }
