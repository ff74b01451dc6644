"""Data sets that torchvision knows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from components.prepare.manifest import MixtureParameters
from components.prepare.sources.blocks import blocks, cut, rows_of
from components.prepare.sources.layouts import as_pictures
from components.prepare.sources.source import Entry, Item, Rejection
from models.errors import ConfigurationError, SourceError

BY_TRAIN = ("MNIST", "FashionMNIST", "KMNIST", "QMNIST", "EMNIST", "CIFAR10", "CIFAR100", "USPS")
BY_SPLIT = ("SVHN", "STL10")
NAMES = BY_TRAIN + BY_SPLIT
NAMED_CLASSES = ("FashionMNIST", "KMNIST", "EMNIST", "CIFAR10", "CIFAR100", "STL10")
"""Sets whose classes are more than digits."""
SPLITS = ("train", "test")
DEFAULT_ROOT = "data"


class TorchvisionSource:
    """A data set's pictures as torchvision holds them in memory; EMNIST's lie transposed in its files, and here too.

    Of QMNIST, STL10 and SVHN the parts named train and test are read; of EMNIST the variant ``balanced``.
    """

    kind: Literal["image", "vector"] = "image"
    sequential = True
    mixture: MixtureParameters | None = None

    def __init__(self, name: str, root: str = DEFAULT_ROOT, download: str = "false", split: str = "train") -> None:
        """
        Args:
            name: one of ``NAMES``.
            root: directory of torchvision's files.
            download: ``true`` fetches what is missing.
            split: ``train``, ``test`` or ``all``.

        Raises:
            ConfigurationError: for an option that is none of these.
        """
        for option, value, known in (
            ("the name", name, NAMES),
            ("download", download, ("true", "false")),
            ("split", split, (*SPLITS, "all")),
        ):
            if value not in known:
                raise ConfigurationError(
                    f"data.source torchvision: {option} is {value!r}.", f"Known are: {', '.join(known)}."
                )
        self._set, self._download = name, download == "true"
        self._root = Path(root).expanduser()
        self._splits = SPLITS if split == "all" else (split,)
        self.name = name.lower()

    def listing(self) -> Iterator[Item | Rejection]:
        for split in self._splits:
            pictures, class_names = self._load(split)
            digest = hashlib.sha256(np.ascontiguousarray(pictures).data)
            digest.update("\0".join(class_names).encode())
            yield from blocks(split, len(pictures), pictures[0].nbytes, digest.hexdigest())

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        for split in self._splits:
            wanted = [item for item in items if rows_of(item)[0] == split]
            if wanted:
                pictures, class_names = self._load(split)
                for item in wanted:
                    yield cut(item, pictures, class_names)

    def _load(self, split: str) -> tuple[npt.NDArray[np.uint8], list[str]]:
        """uint8 [N, C, H, W] and the class of each."""
        try:
            from torchvision import datasets
        except (ImportError, RuntimeError) as error:  # the latter where it was made for another torch
            raise SourceError(
                f"torchvision:{self._set} needs the package torchvision, which is not installed for this torch.",
                "pip install torchvision, or give the files as arrays: or folder:.",
            ) from error
        choice: dict[str, Any] = {"split": split} if self._set in BY_SPLIT else {"train": split == "train"}
        if self._set == "EMNIST":
            choice["split"] = "balanced"
        try:
            loaded = getattr(datasets, self._set)(str(self._root), download=self._download, **choice)
        except (RuntimeError, OSError) as error:
            raise SourceError(
                f"torchvision:{self._set} is not whole under {self._root}: {str(error).splitlines()[0].rstrip('.')}.",
                f"Add download=true to data.source, or put its files under {self._root / self._set}.",
            ) from error
        return _pictures(loaded.data), self._classes(loaded)

    def _classes(self, loaded: Any) -> list[str]:
        labels = np.asarray(loaded.labels if hasattr(loaded, "labels") else loaded.targets)
        if labels.ndim == 2:  # QMNIST tells more of a digit than its class, which comes first
            labels = labels[:, 0]
        names = loaded.classes if self._set in NAMED_CLASSES else [str(digit) for digit in range(10)]
        return [str(names[label]) for label in labels.tolist()]


def _pictures(data: Any) -> npt.NDArray[np.uint8]:
    values: npt.NDArray[np.uint8] = np.asarray(data)
    if values.ndim == 3:
        return values[:, None]
    return as_pictures(values, "nhwc")[0] if values.shape[3] == 3 else values
