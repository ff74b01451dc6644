"""The bundle's sampler as a function from latents to pictures, and the codes of held-out rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate.coding import Coding
from components.export.signature import Signature
from components.onnx_graphs.sessions import open_session, run_in_batches


@dataclass(frozen=True)
class Codes:
    """What the encoder makes of rows: posterior means, or an autoencoder's codes, [N, Z]."""

    mean: npt.NDArray[np.float64]
    log_variance: npt.NDArray[np.float64] | None
    """Of the posteriors, [N, Z]; None for a single-valued code."""

    @classmethod
    def of(cls, coding: Coding, rows: npt.NDArray[np.int64]) -> Codes:
        """Of some of the rows that were encoded, by their indices."""
        spread = coding.log_variance
        return cls(coding.mean[rows].astype(np.float64), None if spread is None else spread[rows].astype(np.float64))

    def are_finite(self) -> bool:
        """Whether there is anything to draw."""
        parts = [self.mean] if self.log_variance is None else [self.mean, self.log_variance]
        return all(bool(np.isfinite(part).all()) for part in parts)


class Renderer:
    """The exported sampler of pictures, opened once."""

    def __init__(self, bundle: Path, signature: Signature) -> None:
        graph = signature.graphs[signature.sampler]
        self._session = open_session(bundle / graph.file)
        self.conditional = any(tensor.name == "label" for tensor in graph.inputs)
        self.latent_size = signature.latent.size
        self.class_names = signature.class_names if self.conditional else []

    def told(self, label: int) -> str:
        """A sentence about the class that all pictures are of; none where the model is told none."""
        return f" The class is {self.class_names[label]}." if self.class_names else ""

    def pixels(self, latents: npt.NDArray[Any], labels: npt.NDArray[np.int64] | int = 0) -> npt.NDArray[np.uint8]:
        """Latents [N, Z] → pictures uint8 [N, H, W, C].

        Args:
            latents: [N, Z].
            labels: classes, [N] or one for all; only a conditional model heeds them.
        """
        inputs: dict[str, npt.NDArray[Any]] = {"latent": latents.astype(np.float32)}
        if self.conditional:
            inputs["label"] = np.broadcast_to(np.asarray(labels, dtype=np.int64), len(latents))
        (pixels,) = run_in_batches(self._session, inputs, ["pixels"])
        return np.asarray(pixels, dtype=np.uint8)
