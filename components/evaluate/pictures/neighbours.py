"""Samples above the training pictures nearest to them: what a memorizing model cannot hide."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from components.evaluate.pictures.exhibit import Exhibit, Figure
from components.evaluate.scored import Judged
from components.evaluate.words import number
from components.figures.pictures import grid, thumbnails
from models.metrics.neighbours import nearest

SHOWN: Final = 12
COMPARED: Final = 2_000
"""Samples that the shown ones are chosen from."""
_LONGEST = 64


def nearest_neighbours(
    samples: Judged,
    held_out: Judged,
    training: npt.NDArray[np.float32],
    training_pictures: Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]],
) -> Exhibit | None:
    """The samples that look most copied, each above its nearest training picture.

    Ordered by d(sample, training) / d(sample, held-out), both to the nearest row in the extractor's features
    (the idea of Meehan et al. 2020, "A non-parametric test to detect data-copying in generative models", section 2).

    Args:
        samples: of the model.
        held_out: rows that it was not trained on.
        training: features of rows that it was trained on, [T, d].
        training_pictures: some of these rows by their indices [n], uint8 [n, H, W, C].

    Returns:
        None where a feature is not finite, or there are no rows.
    """
    features = samples.features[: min(COMPARED, len(samples.rows))]
    parts = (features, held_out.features, training)
    if not all(len(part) and np.isfinite(part).all() for part in parts):
        return None
    index, to_training = nearest(features, training)
    _, to_held_out = nearest(features, held_out.features)
    # A sample on both is no evidence of either.
    ratio = np.where(to_training == to_held_out, 1.0, to_training / np.maximum(to_held_out, 1e-12))
    figures = []
    suspicious = ratio.argsort(kind="stable")[:SHOWN]
    for sample, original in zip(suspicious, training_pictures(index[suspicious]), strict=True):
        pair = np.stack([samples.rows[sample], original])
        figures.append(
            Figure(
                alt=f"Sample {sample} above the training picture nearest to it",
                caption=f"× {number(round(float(ratio[sample]), 2))}",
                png=grid(thumbnails(pair, _LONGEST), columns=1),
            )
        )
    median = number(round(float(np.median(ratio)), 2))
    return Exhibit(
        title="Samples above their nearest training pictures",
        note=(
            f"The {len(figures)} of {len(features):,} samples that look most like copies, of "
            f"{len(training):,} training and {len(held_out.features):,} held-out rows. Beneath each: its "
            "distance to the training picture, in distances to the nearest held-out one; a copy has 0. The median over "
            f"all these samples is {median}: about 1 is expected of a model that copies nothing where "
            "both are equally many, somewhat less where more training rows are searched."
        ),
        figures=figures,
        layout="strip",
    )
