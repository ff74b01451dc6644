"""What training sees of a Dataset: batches as a function of (seed, images seen) alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from components.prepare.dataset import open_split, read_manifest, read_share
from components.prepare.manifest import SplitName
from components.recipe import Recipe
from components.train.look_ahead import LookAhead
from components.train.processes import Processes
from components.train.sampler import Sampler
from models.config import is_conditional
from models.errors import ArtifactError
from models.steps.batch import Batch

RESIDENT_SHARE = 0.5
"""Share of an accelerator's free memory that the data may take."""

Position = tuple[int, int, int]
"""Images seen, images of an update, seed of the order."""
Stored = tuple[Tensor, npt.NDArray[np.int64]]
"""Samples as they are stored, and their labels."""


class TrainingData:
    """Splits memory-mapped and read one update ahead; resident on an accelerator as they are stored, where they fit."""

    def __init__(self, dataset: Path, recipe: Recipe, processes: Processes) -> None:
        self.manifest = read_manifest(dataset)
        self.value_range = (0.0, 1.0)
        self._processes = processes
        self._batch_size = recipe.training.batch_size
        self._conditional = is_conditional(recipe.model)
        # Where several machines train, each has its own shards, and its processes share its part of every batch.
        self._share = read_share(dataset)
        if processes.count % self._share.count or processes.rank * self._share.count // processes.count != (
            self._share.index
        ):
            raise ArtifactError(
                f"{dataset} holds share {self._share.index} of {self._share.count} of the training shards, which is "
                f"not that of process {processes.rank} of {processes.count}.",
                "Fetch the data again on every machine.",
            )
        self._splits = {
            "train": open_split(dataset, self.manifest, "train", self._share),
            **({"validation": open_split(dataset, self.manifest, "validation")} if processes.is_first else {}),
        }
        self._sampler: tuple[int, Sampler] | None = None
        self._resident: Tensor | None = None
        self._ahead = LookAhead[Position, list[Stored]](self._read)
        rows = self._splits["train"]
        if processes.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(processes.device)
            if rows.nbytes < RESIDENT_SHARE * free:
                self._resident = torch.from_numpy(np.ascontiguousarray(rows.whole()[0])).to(processes.device)

    def first_samples(self, split: SplitName, count: int) -> npt.NDArray[Any]:
        """A split's first samples as they are stored: uint8 [n, C, H, W] or float32 [n, D]."""
        return self._splits[split].first(count)[0]

    def first_rows(self, split: SplitName, count: int) -> Batch:
        """The first rows of a split as the family takes them."""
        samples, labels = self._splits[split].first(count)
        return Batch(self._as_samples(torch.from_numpy(samples)), self._as_labels(labels))

    def batches(self, images_seen: int, per_update: int, seed: int) -> list[Batch]:
        """This process's share of the batches of one update.

        Args:
            images_seen: real samples shown before, by all processes.
            per_update: real samples of the update, over all processes and batches.
            seed: of the order.
        """
        position = (images_seen, per_update, seed)
        if self._resident is None:
            stored = self._ahead.at(position, (images_seen + per_update, per_update, seed))
        else:
            stored = self._read(position)
        return [Batch(self._as_samples(samples), self._as_labels(labels)) for samples, labels in stored]

    def _read(self, position: Position) -> list[Stored]:
        """The batches of one update as they are stored."""
        images_seen, per_update, seed = position
        if self._sampler is None or self._sampler[0] != seed:
            self._sampler = (seed, Sampler(len(self._splits["train"]), seed))
        machines = self._share.count
        rows = self._sampler[1].rows_at(images_seen // machines, per_update // machines)
        mine = self._batch_size // self._processes.count
        start = self._processes.rank % (self._processes.count // machines) * mine
        return [
            self._stored(rows[batch + start : batch + start + mine])
            for batch in range(0, len(rows), self._batch_size // machines)
        ]

    def _stored(self, rows: npt.NDArray[np.int64]) -> Stored:
        split = self._splits["train"]
        if self._resident is not None:
            device_rows = torch.from_numpy(rows).to(self._processes.device, non_blocking=True)
            return self._resident[device_rows], split.labels(rows)
        samples, labels = split.take(rows)
        picked = torch.from_numpy(np.require(samples, requirements=["C", "W"]))
        # Only from pinned memory does a copy to an accelerator go on beside the computation.
        return (picked.pin_memory() if self._processes.device.type == "cuda" else picked), labels

    def _as_samples(self, samples: Tensor) -> Tensor:
        """Pictures in the family's range of values; vectors as they are."""
        samples = samples.to(self._processes.device, non_blocking=True)
        if samples.dim() == 4:
            samples = samples.contiguous(memory_format=torch.channels_last)
        if samples.dtype != torch.uint8:
            return samples
        low, high = self.value_range
        return samples.to(torch.float32) * ((high - low) / 255.0) + low

    def _as_labels(self, labels: npt.NDArray[np.int64]) -> Tensor | None:
        if not self._conditional:
            return None
        return torch.from_numpy(np.array(labels, dtype=np.int64)).to(self._processes.device)
