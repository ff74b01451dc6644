"""A plane through the code space: what lies between the codes, and what the prior would draw there."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from components.evaluate.pictures.exhibit import Exhibit, Figure
from components.evaluate.pictures.graphs import Codes, Renderer
from components.evaluate.scored import Judged
from components.evaluate.words import number
from components.figures.charts import percent
from components.figures.heat import heat_map
from components.figures.pictures import grid, thumbnails
from models.metrics.bounds import aggregate_posterior_kl
from models.metrics.neighbours import nearest, nearest_within

CELLS: Final = 15
"""To each side of the square."""
PRIOR_REACH: Final = 3.0
BOUNDS: Final = (1.0, 1.5, 2.0, 3.0)
"""Between the colours, in medians of the distance between real neighbours."""
HOLE: Final = 2.0
"""A cell farther than this from everything real counts as a hole: one of the bounds."""
COMPARED: Final = 2_000
"""Held-out rows that a picture is compared with."""
MOST_DOTS: Final = 400
_LONGEST = 28

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """A square in the plane of the two leading principal components of codes, through their mean.

    A point is ``mean + (corner + side * u) @ axes`` with u in the unit square.
    """

    mean: Floats
    """[Z]."""
    axes: Floats
    """Orthonormal rows, [2, Z]."""
    corner: Floats
    """Lower left, in the coordinates along the axes, [2]."""
    side: float

    def project(self, codes: Floats) -> Floats:
        """Codes [N, Z] → [N, 2] in units of the square, (0, 0) its lower left corner."""
        return np.asarray(((codes - self.mean) @ self.axes.T - self.corner) / self.side, dtype=np.float64)

    def prior_center(self) -> Floats:
        """Where the prior's mean is projected to, [2] in units of the square."""
        return np.asarray(self.project(np.zeros((1, len(self.mean))))[0], dtype=np.float64)

    def cells(self, count: int) -> Floats:
        """Codes at the middles of ``count`` x ``count`` cells, the upper row first. [count * count, Z]."""
        middles = (np.arange(count) + 0.5) / count
        across, up = np.meshgrid(middles, middles[::-1])
        points = self.corner + self.side * np.stack([across.ravel(), up.ravel()], axis=1)
        return np.asarray(self.mean + points @ self.axes, dtype=np.float64)

    def prior_mass(self, count: int) -> Floats:
        """Probability of each cell under the prior projected onto the plane, a standard normal. [count, count]."""
        center = self.corner + self.side * self.prior_center()
        edges = self.corner[:, None] + self.side * np.linspace(0.0, 1.0, count + 1) - center[:, None]
        cumulative = np.vectorize(lambda x: 0.5 * (1.0 + math.erf(x / math.sqrt(2.0))))(edges)
        across, up = np.diff(cumulative, axis=1)
        return np.asarray(up[::-1, None] * across[None, :], dtype=np.float64)


def leading_plane(codes: Floats) -> Plane:
    """The plane that shows most of the codes' variance, as far as both they and the prior reach.

    The square holds 98 % of the codes along each axis and the prior's circle of three sigma.

    Args:
        codes: finite, [N, Z], N >= 2, Z >= 2.
    """
    mean = codes.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(codes.T))
    axes = vectors[:, ::-1][:, :2].T
    # An axis has no sign of its own: its largest component is made positive, on every machine.
    axes = axes * np.sign(axes[np.arange(2), np.abs(axes).argmax(axis=1)])[:, None]
    projected = (codes - mean) @ axes.T
    prior = -mean @ axes.T
    low = np.minimum(np.quantile(projected, 0.01, axis=0), prior - PRIOR_REACH)
    high = np.maximum(np.quantile(projected, 0.99, axis=0), prior + PRIOR_REACH)
    side = 1.04 * float((high - low).max())
    return Plane(mean, axes, (low + high) / 2.0 - side / 2.0, side)


def holes(
    renderer: Renderer,
    codes: Codes,
    held_out: Judged,
    features_of: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]],
    label: int = 0,
) -> Exhibit | None:
    """The decoded plane beside a map of its distance from everything real.

    Args:
        renderer: the decoder.
        codes: of held-out rows, finite.
        held_out: held-out rows with their features.
        features_of: the extractor, uint8 [K, H, W, C] → [K, d].
        label: the class that a conditional decoder is told.

    Returns:
        None where the code has one dimension, or the features leave no distance to measure by.
    """
    real = held_out.features[:COMPARED]
    means = codes.mean
    if means.shape[1] < 2 or len(means) < 2 or len(real) < 2 or not np.isfinite(real).all():
        return None
    _, between_real = nearest_within(real)
    unit = float(np.median(between_real))
    if unit == 0.0:
        return None
    plane = leading_plane(means)
    pixels = renderer.pixels(plane.cells(CELLS), label)
    _, distances = nearest(features_of(pixels), real)
    multiples = np.asarray(distances / unit, dtype=np.float64).reshape(CELLS, CELLS)
    dots = plane.project(means[:MOST_DOTS])
    x, y = plane.prior_center()
    drawing = heat_map(
        "Distance of the decoded plane from real data, with the codes and the prior",
        multiples,
        BOUNDS,
        dots,
        [(float(x), float(y), sigma / plane.side) for sigma in (1.0, 2.0)],
    )
    from_prior, from_codes = _shares_in_holes(plane, multiples, means)
    return Exhibit(
        title="Holes of the latent space",
        note=(
            "The plane of the two leading principal components of held-out codes, through their mean. "
            f"{percent(from_prior)} of the prior's mass on this plane, and {percent(from_codes)} of the codes, lie in "
            f"cells whose picture is more than {HOLE:g} times as far from everything real as real neighbours are from "
            f"each other.{_far_from_prior(codes)}{renderer.told(label)}"
        ),
        figures=[
            Figure(
                f"{CELLS} by {CELLS} pictures decoded from a plane of the latent space",
                "What the decoder makes of each cell",
                png=grid(thumbnails(pixels, _LONGEST), columns=CELLS, scale=2),
            ),
            Figure(
                "Map of the same cells: distance from real data, encoded points, the prior's circles",
                "Colour: distance of the cell's picture to the nearest held-out one in the extractor's features, in "
                "medians of the distance between real neighbours. Dots: held-out codes, projected onto the plane. "
                "Circles: one and two sigma of the prior.",
                svg=Markup(drawing),
                legend=_legend(),
            ),
        ],
        layout="pair",
    )


def _shares_in_holes(plane: Plane, multiples: Floats, codes: Floats) -> tuple[float, float]:
    """Of the prior's mass on the square, and of the codes on it, the share in cells beyond ``HOLE``."""
    hole = ~(multiples <= HOLE)  # what is not finite is no picture either
    mass = plane.prior_mass(len(multiples))
    unit = plane.project(codes)
    inside = unit[((unit >= 0.0) & (unit < 1.0)).all(axis=1)]
    column, row = np.floor(inside * len(multiples)).astype(np.int64).T
    of_codes = hole[len(multiples) - 1 - row, column].mean() if len(inside) else 0.0
    return float(mass[hole].sum() / mass.sum()), float(of_codes)


def _far_from_prior(codes: Codes) -> str:
    """How far the codes of all data together are from the prior, where there is a number for it."""
    nats = aggregate_posterior_kl(codes.mean, codes.log_variance)
    if not math.isfinite(nats):
        return ""
    return (
        f" All held-out codes together are {number(round(nats, 2))} nats from the prior, by their mean and covariance: "
        "sampling the prior is legitimate where this is near 0."
    )


def _legend() -> tuple[str, ...]:
    """What each colour stands for."""
    between = [f"{low:g}–{high:g}" for low, high in pairwise(BOUNDS)]
    return (f"up to {BOUNDS[0]:g}", *between, f"over {BOUNDS[-1]:g}")
