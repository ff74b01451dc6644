"""The training loop: data in, updates, and what is written down on the way."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from components.artifacts import prepare_output_directory
from components.figures.pictures import grid, scatter
from components.recipe import Recipe
from components.train.checkpoint import (
    CHECKPOINT_NAME,
    Checkpoint,
    load_optimizers,
    load_weights,
    read_checkpoint,
    require_same_run,
    save_checkpoint,
)
from components.train.data import TrainingData
from components.train.health import Health, require_another_attempt, what_changes
from components.train.moments import moment_at
from components.train.observer import Files, Observer, read_history
from components.train.processes import Processes, joined_processes
from components.train.shelf import Shelf
from models.alarms import Alarm
from models.config import GanSettings, is_conditional
from models.errors import ArtifactError, ConfigurationError, TrainingError
from models.latents import standard_normal_latents
from models.steps.build import build_step
from models.steps.step import Draws, Execution, TrainingStep, has_finite_weights

Resume = Literal["auto", "own", "never"]
SAMPLE_COUNT = 64
SCATTERED_COUNT = 2_000
DIAGNOSED_ROWS = 256
AGREED_EVERY_UPDATES = 16
"""Several processes ask each other about SIGTERM this often: at every update it would cost as much as a small one."""
ROLLBACK_SEED_STRIDE = 1_000_003


class Interrupted(TrainingError):
    """Training was asked to stop (SIGTERM) and left a checkpoint to go on from."""

    exit_code = 143


def train(
    recipe: Recipe,
    dataset: Path,
    output: Path,
    *,
    resume: Resume = "auto",
    init_from: Path | None = None,
    checkpoint_uri: str = "",
    pipeline_run_id: str = "",
    observers: Sequence[Observer] = (),
    mlflow_run_id: str = "",
    hand_over: bool = False,
) -> Checkpoint:
    """Train until the recipe's budget is spent.

    Every process that trains calls this; the first one writes.

    Args:
        recipe: what to train.
        dataset: a finished Dataset.
        output: where the Checkpoint goes; an interrupted training there is gone on with unless ``resume`` is never.
        resume: auto also goes on from what another run of the same training has under ``checkpoint_uri``, own does not.
        init_from: a Checkpoint whose weights to start from instead of fresh ones.
        checkpoint_uri: a durable place (a directory or ``s3://``) that checkpoints are copied to and, where ``output``
            is empty, gone on from; empty for none.
        pipeline_run_id: of the run whose place there it is; empty outside a pipeline.
        observers: are told of losses, samples and alarms, besides the files.
        mlflow_run_id: the run that this training belongs to, written into the checkpoint.
        hand_over: whether the finished checkpoint is put under ``checkpoint_uri`` too, for who waits for it elsewhere.

    Raises:
        ArtifactError: if an input is incomplete, or ``output`` is finished or of other settings.
        TrainingError: if training diverged and its roll-backs did not help.
        Interrupted: after SIGTERM, with a checkpoint written.
    """
    with joined_processes(recipe.training.threads_per_process) as processes, _termination() as terminated:
        run = _Run(recipe, dataset, output, processes, mlflow_run_id, checkpoint_uri, pipeline_run_id)
        run.start(resume, init_from)
        return run.until_the_end(observers, terminated, hand_over)


def require_divisible_batch(recipe: Recipe, processes: int) -> None:
    """Refuse a batch that processes, parts and packs cannot share evenly.

    Raises:
        ConfigurationError: naming what does not divide it.
    """
    settings = recipe.training
    parts = processes * settings.accumulation
    if settings.batch_size % parts:
        raise ConfigurationError(
            f"training.batch_size={settings.batch_size} cannot be shared by {processes} processes"
            f" in {settings.accumulation} parts each.",
            "Choose a multiple of their product.",
        )
    packing = recipe.model.packing if isinstance(recipe.model, GanSettings) else 1
    if settings.batch_size // parts % packing:
        raise ConfigurationError(
            f"model.packing={packing} does not divide the {settings.batch_size // parts} samples of a part.",
            "Choose training.batch_size as a multiple of packing, processes and accumulation.",
        )


class _Run:
    """One process's view of one training run."""

    def __init__(
        self,
        recipe: Recipe,
        dataset: Path,
        output: Path,
        processes: Processes,
        mlflow_run_id: str,
        checkpoint_uri: str,
        pipeline_run_id: str = "",
    ) -> None:
        self.recipe, self.settings, self.processes, self.output = recipe, recipe.training, processes, output
        require_divisible_batch(recipe, processes.count)
        self.mlflow_run_id = mlflow_run_id
        self.data = TrainingData(dataset, recipe, processes)
        self.shelf = Shelf(output, checkpoint_uri, recipe, self.data.manifest.fingerprint, pipeline_run_id)
        self.step = self._fresh_step()
        self.health = Health()
        self.images_seen = self.updates = self.rollbacks = 0
        self.clock_started = time.perf_counter()

    def _fresh_step(self) -> TrainingStep:
        torch.manual_seed(self.recipe.seed)
        execution = Execution(
            device=self.processes.device,
            wrap=self.processes.wrap,
            processes=self.processes.count,
            accumulation=self.settings.accumulation,
            bfloat16=self.settings.precision == "bfloat16",
            compiled=self.settings.compile,
        )
        manifest = self.data.manifest
        step = build_step(self.recipe.model, tuple(manifest.sample_shape), len(manifest.class_names), execution)
        self.data.value_range = step.value_range
        return step

    def start(self, resume: Resume, init_from: Path | None) -> None:
        prepare_output_directory(self.output, CHECKPOINT_NAME)
        if init_from is not None:
            # Before anything is cleared away: the weights may lie among this output's own steps.
            read_checkpoint(init_from)
            load_weights(init_from, self.step.networks)
        found = self.shelf.find(self.processes, others=resume == "auto") if resume != "never" else None
        if found is not None and init_from is not None:
            raise ArtifactError(
                f"{self.output} holds an interrupted training, and --init-from {init_from} would start another.",
                "Leave out --init-from to go on with it, or add --resume never to start over.",
            )
        if resume == "never" and self.processes.is_first:
            self.shelf.clear()  # newer by number, old steps would win
        if found is not None:
            checkpoint = read_checkpoint(found)
            require_same_run(checkpoint, self.recipe, self.data.manifest.fingerprint, found)
            self._load(found, checkpoint)
            self.rollbacks = checkpoint.rollbacks
        self.processes.wait_for_all()

    def _load(self, directory: Path, checkpoint: Checkpoint) -> None:
        load_weights(directory, self.step.networks)
        load_optimizers(directory, self.step)
        self.images_seen, self.updates = checkpoint.images_seen, checkpoint.updates

    def until_the_end(
        self, observers: Sequence[Observer], terminated: list[int], hand_over: bool = False
    ) -> Checkpoint:
        told: list[Observer] = []
        if self.processes.is_first:
            told = [Files(self.output, self.images_seen, self.rollbacks), *observers]
            self.health.history = [row for row in read_history(self.output) if row["images_seen"] <= self.images_seen]
        earlier = self.health.history[-1].get("wall_seconds", 0.0) if self.health.history else 0.0
        self.clock_started = time.perf_counter() - earlier
        per_update = self.settings.batch_size * self.step.batches_per_update
        since, since_images = time.perf_counter(), self.images_seen
        while self.images_seen < self.settings.images_seen:
            if self._asked_to_stop(terminated):
                self._stop_here()
            divergence = self._update(per_update)
            if divergence is None:
                before, self.images_seen = self.images_seen, self.images_seen + per_update
                self.updates += 1
                last = self.images_seen >= self.settings.images_seen
                if last or self._passed(before, self.settings.log_every_images):
                    if told:
                        speed = (self.images_seen - since_images) / (time.perf_counter() - since)
                        divergence = self._report(told, speed)
                    divergence = self.processes.first_ones(divergence)
                    since, since_images = time.perf_counter(), self.images_seen
                if divergence is None and told:
                    if last or self._passed(before, self.settings.sample_every_images):
                        png = self._sample_picture()
                        for observer in told:
                            observer.on_samples(self.images_seen, png)
                    if not last and self._passed(before, self.settings.checkpoint_every_images):
                        self._save_step()
            if divergence is not None:
                self._roll_back(divergence, told)
                since, since_images = time.perf_counter(), self.images_seen
        return self._finish(hand_over)

    def _update(self, per_update: int) -> Alarm | None:
        """One update; a loss that is not finite comes back as an alarm."""
        try:
            self.step.update(
                self.data.batches(self.images_seen, per_update, self._seed),
                Draws(self._seed, self.updates, self.processes.rank, self.processes.count, self.processes.device),
                moment_at(self.images_seen, self.rollbacks, self.settings),
            )
        except TrainingError as error:
            reason = str(error).split(" after ")[0]
            return Alarm("non-finite", reason[0].lower() + reason[1:], "", fatal=True)
        return None

    def _report(self, told: list[Observer], speed: float) -> Alarm | None:
        """Tell the numbers of now and the alarms they give; return the one to roll back from."""
        draws = Draws(self.recipe.seed, self.updates, 0, 1, self.processes.device)
        train, held_out = (self.data.first_rows(split, DIAGNOSED_ROWS) for split in ("train", "validation"))
        numbers = self.step.report() | self.step.diagnose(train, held_out, draws)
        # Of the updates alone; and of everything, with diagnostics, checkpoints and what was rolled back.
        numbers |= {"images_per_second": speed, "wall_seconds": time.perf_counter() - self.clock_started}
        alarms = self.health.add(self.images_seen, numbers, self.images_seen / self.settings.images_seen)
        for observer in told:
            if not any(alarm.name == "non-finite" for alarm in alarms):
                observer.on_numbers(self.images_seen, numbers)
            for alarm in alarms:
                observer.on_alarm(self.images_seen, alarm)
        return next((alarm for alarm in alarms if alarm.fatal), None)

    @property
    def _seed(self) -> int:
        """Another order and other noise after each roll-back: the same would lead to the same place."""
        return self.recipe.seed + ROLLBACK_SEED_STRIDE * self.rollbacks

    def _roll_back(self, alarm: Alarm, told: list[Observer]) -> None:
        """Return to the last healthy checkpoint and change what the recipe says.

        Raises:
            TrainingError: if that has been tried often enough.
        """
        recovery = self.settings.recovery
        require_another_attempt(self.rollbacks, recovery, alarm.reason, self.images_seen)
        onset = self.processes.first_ones(self.health.onset(alarm))
        if self.processes.is_first:
            self.shelf.remove_after(onset)
        self.processes.wait_for_all()
        diverged_at, self.rollbacks = self.images_seen, self.rollbacks + 1
        found = self.shelf.newest_of_first(self.processes)
        self.step = self._fresh_step()
        self.images_seen = self.updates = 0
        if found is not None:
            self._load(found, read_checkpoint(found))
        self.health.go_back(self.images_seen)
        text = (
            f"{alarm.name} after {diverged_at:,} images ({alarm.reason}): back to {self.images_seen:,} images, "
            f"{what_changes(recovery, self.rollbacks)}"
        )
        for observer in told:
            observer.on_rollback(self.images_seen, text)

    def _passed(self, before: int, interval: int) -> bool:
        return before // interval != self.images_seen // interval

    def _sample_picture(self) -> bytes:
        manifest = self.data.manifest
        count = SAMPLE_COUNT if manifest.kind == "image" else SCATTERED_COUNT
        latent = torch.from_numpy(standard_normal_latents(self.recipe.seed, count, self.step.latent_size))
        labels = None
        if is_conditional(self.recipe.model):
            labels = (torch.arange(count) % len(manifest.class_names)).to(self.processes.device)
        samples = self.step.sample(latent.to(self.processes.device), labels).float().cpu().numpy()
        if manifest.kind == "vector":
            return scatter(samples, self.data.first_samples("validation", SCATTERED_COUNT))
        pixels = np.rint(np.clip(samples, 0.0, 1.0) * 255.0).astype(np.uint8)
        return grid(pixels.transpose(0, 2, 3, 1), columns=8)

    def _description(self) -> dict[str, Any]:
        manifest = self.data.manifest
        score = self.health.history[-1].get(self.step.selection) if self.health.history else None
        return {
            "recipe": self.recipe,
            "images_seen": self.images_seen,
            "updates": self.updates,
            "rollbacks": self.rollbacks,
            "score": score,
            "dataset_name": manifest.name,
            "dataset_fingerprint": manifest.fingerprint,
            "sample_shape": manifest.sample_shape,
            "class_names": manifest.class_names,
            "fit": manifest.fit,
            "processes": self.processes.count,
            "mlflow_run_id": self.mlflow_run_id,
        }

    def _save_step(self) -> None:
        # A finite loss can have a gradient that is not: such weights must not become what training goes back to.
        if has_finite_weights(self.step.networks):
            self.shelf.put(self.step, self._description())

    def _asked_to_stop(self, terminated: list[int]) -> bool:
        """Whether SIGTERM reached any process. All agree on the update: one alone in all-reduce would wait for ever."""
        if self.processes.count == 1:
            return bool(terminated)
        return self.updates % AGREED_EVERY_UPDATES == 0 and self.processes.any_of(bool(terminated))

    def _stop_here(self) -> None:
        saved = "the last checkpoint is"
        if self.processes.is_first and self.updates:
            self._save_step()
        if not self.updates:
            saved = "nothing had been learned yet, nothing is"
        self.processes.wait_for_all()
        raise Interrupted(
            f"Training was asked to stop after {self.images_seen:,} images; {saved} in {self.output}.",
            "Run the same command again to go on.",
        )

    def _finish(self, hand_over: bool) -> Checkpoint:
        if not self.processes.is_first:
            self.processes.wait_for_all()
            return Checkpoint(weights_sha256="", optimizers_sha256="", versions={}, **self._description())
        best = self.shelf.best() if self.settings.finish_with == "best" else None
        if best is not None and (score := self._description()["score"]) is not None:
            kept = read_checkpoint(best)
            if kept.score is not None and kept.score < score:
                self._load(best, kept)
                self.health.go_back(self.images_seen)
        checkpoint = save_checkpoint(self.output, self.step, **self._description())
        if hand_over:  # before the steps are gone: a machine lost in between must not lose the training
            self.shelf.push_result(self.output)
        # The finished document is all that anybody goes on from; the steps would travel with it as dead weight.
        self.shelf.clear()
        self.processes.wait_for_all()
        return checkpoint


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
