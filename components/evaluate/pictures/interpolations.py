"""Paths between latents: a model that has understood its data changes one picture into another by plausible steps."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from components.evaluate.pictures.exhibit import Exhibit, Figure
from components.evaluate.pictures.graphs import Renderer
from components.figures.pictures import grid, thumbnails
from models.latents import standard_normal_latents

ROWS: Final = 4
STEPS: Final = 9
_LONGEST = 64
_PARALLEL = 1e-6
"""Radians between two directions below which they count as one, or as opposite."""

Latents = npt.NDArray[np.float64]


def spherical(start: Latents, end: Latents, steps: int) -> Latents:
    """The great arc from ``start`` to ``end``, both [Z], ends included. [steps, Z].

    Shoemake 1985, "Animating rotation with quaternion curves", section 3.3; for latents White 2016, "Sampling
    generative networks", section 2.1: a straight line between two draws of N(0, I) passes through norms that the
    prior hardly ever has. Shoemake's weights are for unit vectors: here they turn the direction, evenly, and the norm
    goes from the one to the other linearly. (As weights of ends of unequal norm they leave every bound where these
    are nearly opposite.) It is the path of the endpoint's ``spherical`` interpolation, and golden vectors hold both
    to it: along one direction, and from or to the centre, it is the straight line; opposite ends turn through the
    first axis, of those least along ``start``; in one dimension there is no way around.
    """
    norms = float(np.linalg.norm(start)), float(np.linalg.norm(end))
    if min(norms) == 0.0:
        return straight(start, end, steps)
    first, second = start / norms[0], end / norms[1]
    cosine = float(first @ second)
    across = second - cosine * first
    angle = float(np.arctan2(np.linalg.norm(across), cosine))
    if angle > np.pi - _PARALLEL and len(start) > 1:
        axis = np.zeros_like(first)
        axis[np.abs(first).argmin()] = 1.0
        across = axis - (axis @ first) * first
    elif not _PARALLEL <= angle <= np.pi - _PARALLEL:
        return straight(start, end, steps)
    across /= np.linalg.norm(across)
    weight = np.linspace(0.0, 1.0, steps)[:, None]
    directions = np.cos(weight * angle) * first + np.sin(weight * angle) * across
    return np.asarray(((1.0 - weight) * norms[0] + weight * norms[1]) * directions, dtype=np.float64)


def straight(start: Latents, end: Latents, steps: int) -> Latents:
    """The line from ``start`` to ``end``, both [Z], ends included. [steps, Z]."""
    weight = np.linspace(0.0, 1.0, steps)[:, None]
    return np.asarray((1.0 - weight) * start + weight * end, dtype=np.float64)


def between_latents(renderer: Renderer, seed: int = 0) -> Exhibit:
    """Arcs between draws of the prior; a conditional model gets one class a row."""
    ends = standard_normal_latents(seed, 2 * ROWS, renderer.latent_size).astype(np.float64)
    paths = np.concatenate([spherical(ends[2 * row], ends[2 * row + 1], STEPS) for row in range(ROWS)])
    names = renderer.class_names
    classes = np.arange(ROWS) * max(1, len(names) // ROWS) % max(1, len(names))
    pixels = renderer.pixels(paths, np.repeat(classes, STEPS))
    told = " Rows are of the classes " + ", ".join(names[index] for index in classes) + "." if names else ""
    return _exhibit(
        pixels,
        note="Along great arcs between two latents of the prior. A model that has learned the data passes through "
        "plausible pictures; sudden jumps or a fade through a blur show one that has only learned its ends." + told,
        alt=f"{ROWS} rows of {STEPS} pictures, each from one latent to another",
        caption="Left and right end: a draw of the prior each",
    )


def between_codes(
    renderer: Renderer,
    codes: Latents,
    modes: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
) -> Exhibit | None:
    """Lines between the codes of held-out pictures of different modes; within a class where the model is conditional.

    Args:
        renderer: the decoder.
        codes: of held-out rows, finite, [N, Z].
        modes: of the same rows, int64 [N].
        labels: their classes, int64 [N].

    Returns:
        None where there are fewer than two rows.
    """
    pairs = _pairs(modes, labels, within_class=renderer.conditional)
    if not pairs:
        return None
    paths = np.concatenate([straight(codes[start], codes[end], STEPS) for start, end in pairs])
    pixels = renderer.pixels(paths, np.repeat([labels[start] for start, _ in pairs], STEPS))
    return _exhibit(
        pixels,
        note="Along straight lines between the codes of two held-out pictures. Where the way leads through a hole of "
        "the code space, its middle is no picture of the data.",
        alt=f"{len(pairs)} rows of {STEPS} pictures, each from one held-out picture's code to another's",
        caption="Left and right end: the reconstruction of a held-out picture each",
    )


def _pairs(modes: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], *, within_class: bool) -> list[tuple[int, int]]:
    """Rows to go between, each used once where there are enough."""
    free = list(range(len(modes)))
    pairs: list[tuple[int, int]] = []
    while len(free) >= 2 and len(pairs) < ROWS:
        start = free.pop(0)
        if within_class:
            fitting = [row for row in free if labels[row] == labels[start]]
        else:
            fitting = [row for row in free if modes[row] != modes[start]]
        end = (fitting or free)[0]
        free.remove(end)
        pairs.append((start, end))
    return pairs


def _exhibit(pixels: npt.NDArray[np.uint8], *, note: str, alt: str, caption: str) -> Exhibit:
    png = grid(thumbnails(pixels, _LONGEST), columns=STEPS)
    return Exhibit("From one picture to another", note, [Figure(alt, caption, png=png)])
