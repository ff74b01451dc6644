"""A model's samples, as the exported graph makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate.scored import CHUNK_ROWS, Chunk
from components.export.signature import Signature
from components.onnx_graphs.sessions import open_session, run_in_batches
from models.latents import standard_normal_latents

RANGE_TOLERANCE = 1e-6


class Sampler:
    """Draws from the prior by (seed, index), whatever is asked for first."""

    def __init__(self, bundle: Path, signature: Signature, labels: npt.NDArray[np.int64]) -> None:
        """
        Args:
            bundle: a finished Bundle, with its ``signature``.
            labels: classes that a conditional model is asked for, int64 [M], from the start again when they end.
        """
        graph = signature.graphs[signature.sampler]
        self._signature, self._labels = signature, labels
        self._conditional = any(tensor.name == "label" for tensor in graph.inputs)
        self._session = open_session(bundle / graph.file, threads=1)

    def inputs(self, latent: npt.NDArray[np.float32], first: int = 0) -> dict[str, npt.NDArray[Any]]:
        """The graph's inputs by name for latents [N, Z] whose first has this index."""
        inputs: dict[str, npt.NDArray[Any]] = {"latent": latent}
        if self._conditional:
            inputs["label"] = self._labels[np.arange(first, first + len(latent)) % len(self._labels)].astype(np.int64)
        return inputs

    def run(self, latent: npt.NDArray[np.float32], outputs: list[str], first: int = 0) -> list[npt.NDArray[Any]]:
        """Outputs of the graph by name for latents [N, Z]."""
        return run_in_batches(self._session, self.inputs(latent, first), outputs)

    def chunks(self, seed: int, count: int) -> Iterator[Callable[[], Chunk]]:
        """The first ``count`` samples of a seed."""
        for first in range(0, count, CHUNK_ROWS):
            yield partial(self._chunk, seed, first, min(CHUNK_ROWS, count - first))

    def _chunk(self, seed: int, first: int, count: int) -> Chunk:
        latent = standard_normal_latents(seed, count, self._signature.latent.size, first_index=first)
        return self.decoded(latent, first)

    def decoded(self, latent: npt.NDArray[np.float32], first: int = 0) -> Chunk:
        """Samples of latents [N, Z], and whether each of them is finite and in range."""
        if self._signature.sample.kind == "vector":
            (rows,) = self.run(latent, ["sample"], first)
            return Chunk(rows, np.isfinite(rows).all(axis=1))
        image, pixels = self.run(latent, ["image", "pixels"], first)
        low, high = self._signature.sample.value_range or (0.0, 1.0)
        inside = np.isfinite(image) & (image >= low - RANGE_TOLERANCE) & (image <= high + RANGE_TOLERANCE)
        return Chunk(pixels, inside.reshape(len(image), -1).all(axis=1))
