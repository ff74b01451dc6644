"""The training loop: data in, updates, and what is written down on the way."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.artifacts import prepare_output_directory
from components.figures.pictures import grid, scatter
from components.prepare.dataset import read_manifest, read_split
from components.recipe import Recipe
from components.train.checkpoint import (
    CHECKPOINT_NAME,
    STEPS_DIRECTORY,
    Checkpoint,
    load_optimizers,
    load_weights,
    newest_checkpoint,
    read_checkpoint,
    remove_old_checkpoints,
    require_same_run,
    save_checkpoint,
)
from components.train.observer import Files, Observer
from components.train.processes import Processes, joined_processes
from components.train.sampler import Sampler
from components.train.schedule import learning_rate_share
from models.errors import ConfigurationError, TrainingError
from models.latents import standard_normal_latents
from models.steps.build import build_step
from models.steps.step import Draws, TrainingStep

SAMPLE_COUNT = 64
SCATTERED_COUNT = 2_000
DIAGNOSED_ROWS = 512


class Interrupted(TrainingError):
    """Training was asked to stop (SIGTERM) and left a checkpoint to go on from."""

    exit_code = 143


def train(
    recipe: Recipe,
    dataset: Path,
    output: Path,
    *,
    resume: Literal["auto", "never"] = "auto",
    init_from: Path | None = None,
    observers: Sequence[Observer] = (),
    mlflow_run_id: str = "",
) -> Checkpoint:
    """Train until the recipe's budget is spent.

    Every process that trains calls this; the first one writes.

    Args:
        recipe: what to train.
        dataset: a finished Dataset.
        output: where the Checkpoint goes; an interrupted training there is gone on with when ``resume`` is auto.
        init_from: a Checkpoint whose weights to start from instead of fresh ones.
        observers: are told of losses and samples, besides the files.
        mlflow_run_id: the run that this training belongs to, written into the checkpoint.

    Raises:
        ArtifactError: if an input is incomplete, or ``output`` is finished or of other settings.
        TrainingError: if a loss is not finite.
        Interrupted: after SIGTERM, with a checkpoint written.
    """
    with joined_processes(recipe.training.threads_per_process) as processes, _termination() as terminated:
        run = _Run(recipe, dataset, output, processes, mlflow_run_id)
        run.start(resume, init_from)
        return run.until_the_end(observers, terminated)


class _Run:
    """One process's view of one training run."""

    def __init__(self, recipe: Recipe, dataset: Path, output: Path, processes: Processes, mlflow_run_id: str) -> None:
        self.recipe, self.settings, self.processes, self.output = recipe, recipe.training, processes, output
        self.manifest = read_manifest(dataset)
        self.mlflow_run_id = mlflow_run_id
        self.real, _ = read_split(dataset, self.manifest, "train")
        self.held_out, _ = read_split(dataset, self.manifest, "validation")
        if self.settings.batch_size % processes.count:
            raise ConfigurationError(
                f"training.batch_size={self.settings.batch_size} cannot be shared by {processes.count} processes.",
                "Choose a multiple of their number.",
            )
        torch.manual_seed(recipe.seed)
        self.step: TrainingStep = build_step(
            recipe.model, tuple(self.manifest.sample_shape), processes.device, processes.wrap
        )
        self.sampler = Sampler(len(self.real), recipe.seed)
        self.images_seen = 0
        self.updates = 0

    def start(self, resume: Literal["auto", "never"], init_from: Path | None) -> None:
        prepare_output_directory(self.output, CHECKPOINT_NAME)
        if resume == "never" and self.processes.is_first:
            shutil.rmtree(self.output / STEPS_DIRECTORY, ignore_errors=True)  # newer by number, they would win
        found = newest_checkpoint(self.output) if resume == "auto" else None
        if found is not None:
            checkpoint = read_checkpoint(found)
            require_same_run(checkpoint, self.recipe, self.manifest.fingerprint, found)
            load_weights(found, self.step.networks)
            load_optimizers(found, self.step)
            self.images_seen, self.updates = checkpoint.images_seen, checkpoint.updates
        elif init_from is not None:
            read_checkpoint(init_from)
            load_weights(init_from, self.step.networks)
        self.processes.wait_for_all()

    def until_the_end(self, observers: Sequence[Observer], terminated: list[int]) -> Checkpoint:
        told: list[Observer] = []
        if self.processes.is_first:
            told = [Files(self.output, self.images_seen), *observers]
        per_update = self.settings.batch_size * self.step.batches_per_update
        since, since_images = time.perf_counter(), self.images_seen
        while self.images_seen < self.settings.images_seen:
            if terminated:
                self._stop_here()
            self.step.update(
                self._batches(per_update),
                self._draws(),
                learning_rate_share(self.images_seen, self.settings),
                self.images_seen,
            )
            before, self.images_seen = self.images_seen, self.images_seen + per_update
            self.updates += 1
            last = self.images_seen >= self.settings.images_seen
            if told and (last or self._passed(before, self.settings.log_every_images)):
                elapsed = time.perf_counter() - since
                speed = (self.images_seen - since_images) / elapsed
                numbers = self.step.report() | self._diagnostics() | {"images_per_second": speed}
                for observer in told:
                    observer.on_numbers(self.images_seen, numbers)
                since, since_images = time.perf_counter(), self.images_seen
            if told and (last or self._passed(before, self.settings.sample_every_images)):
                png = self._sample_picture()
                for observer in told:
                    observer.on_samples(self.images_seen, png)
            if told and not last and self._passed(before, self.settings.checkpoint_every_images):
                self._save_step()
        if not self.processes.is_first:
            self.processes.wait_for_all()
            return self._described_only()
        checkpoint = save_checkpoint(self.output, self.step, **self._description())
        self.processes.wait_for_all()
        return checkpoint

    def _passed(self, before: int, interval: int) -> bool:
        return before // interval != self.images_seen // interval

    def _batches(self, per_update: int) -> list[Tensor]:
        size, mine = self.settings.batch_size, self.settings.batch_size // self.processes.count
        rows = self.sampler.rows_at(self.images_seen, per_update)
        start = self.processes.rank * mine
        return [
            self._as_tensor(self.real[rows[batch + start : batch + start + mine]])
            for batch in range(0, per_update, size)
        ]

    def _as_tensor(self, samples: npt.NDArray[Any]) -> Tensor:
        """Samples as this family takes them: pictures in [-1, 1] for a GAN, in [0, 1] else; vectors as they are."""
        tensor = torch.from_numpy(np.require(samples, requirements=["C", "W"])).to(self.processes.device)
        if tensor.dim() == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        if tensor.dtype != torch.uint8:
            return tensor
        if self.recipe.model.family == "gan":
            return tensor.to(torch.float32) / 127.5 - 1.0
        return tensor.to(torch.float32) / 255.0

    def _draws(self) -> Draws:
        return Draws(self.recipe.seed, self.updates, self.processes.rank, self.processes.count, self.processes.device)

    def _diagnostics(self) -> dict[str, float]:
        draws = Draws(self.recipe.seed, self.updates, 0, 1, self.processes.device)
        train, held_out = self.real[:DIAGNOSED_ROWS], self.held_out[:DIAGNOSED_ROWS]
        return self.step.diagnose(self._as_tensor(train), self._as_tensor(held_out), draws)

    def _sample_picture(self) -> bytes:
        count = SAMPLE_COUNT if self.manifest.kind == "image" else SCATTERED_COUNT
        latent = standard_normal_latents(self.recipe.seed, count, self.step.latent_size)
        samples = self.step.sample(torch.from_numpy(latent).to(self.processes.device)).cpu().numpy()
        if self.manifest.kind == "vector":
            return scatter(samples, np.asarray(self.held_out[:SCATTERED_COUNT]))
        pixels = np.rint(np.clip(samples, 0.0, 1.0) * 255.0).astype(np.uint8)
        return grid(pixels.transpose(0, 2, 3, 1), columns=8)

    def _description(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "images_seen": self.images_seen,
            "updates": self.updates,
            "dataset_name": self.manifest.name,
            "dataset_fingerprint": self.manifest.fingerprint,
            "sample_shape": self.manifest.sample_shape,
            "class_names": self.manifest.class_names,
            "processes": self.processes.count,
            "mlflow_run_id": self.mlflow_run_id,
        }

    def _described_only(self) -> Checkpoint:
        return Checkpoint(weights_sha256="", optimizers_sha256="", versions={}, **self._description())

    def _save_step(self) -> None:
        save_checkpoint(self.output / STEPS_DIRECTORY / f"{self.images_seen:012d}", self.step, **self._description())
        remove_old_checkpoints(self.output, self.settings.checkpoints_kept)

    def _stop_here(self) -> None:
        # Between two updates all processes hold the same weights, so the first one's word is enough.
        if self.processes.is_first and self.updates:
            self._save_step()
        raise Interrupted(
            f"Training was asked to stop after {self.images_seen:,} images; a checkpoint is in {self.output}.",
            "Run the same command again to go on.",
        )


@contextmanager
def _termination() -> Iterator[list[int]]:
    """A list that is no longer empty once SIGTERM came (a pod's eviction, an operator's kill)."""
    received: list[int] = []
    try:
        previous = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    except ValueError:  # not the main thread: whoever owns it handles signals
        yield received
        return
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, previous)
