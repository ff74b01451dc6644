"""One latent dimension at a time: what each of them means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from components.evaluate.pictures.exhibit import Exhibit, Figure
from components.evaluate.pictures.graphs import Codes, Renderer
from components.evaluate.pictures.rates import mean_kl_parts
from components.evaluate.words import number
from components.figures.pictures import grid, thumbnails
from components.onnx_graphs.sessions import BATCH_SIZE
from models.latents import standard_normal_latents

DIMENSIONS: Final = 8
STEPS: Final = 9
REACH: Final = 3.0
"""Standard deviations to both sides."""
PROBES: Final = 16
"""Latents over which a dimension's effect is averaged."""
_LONGEST = 64

Floats = npt.NDArray[np.float64]


def effects(renderer: Renderer, probes: Floats, scale: Floats, labels: npt.NDArray[np.int64] | int = 0) -> Floats:
    """Mean squared change of the picture, pixels in [0, 1], for a step of ``scale`` in each dimension. [Z].

    Args:
        renderer: what makes pictures.
        probes: latents from which the steps go, [P, Z].
        scale: length of the step in each dimension, [Z].
        labels: classes of the probes, [P] or one for all.
    """
    count, size = probes.shape
    told = np.broadcast_to(np.asarray(labels, dtype=np.int64), count)
    before = renderer.pixels(probes, told) / 255.0
    steps, at_once = np.diag(scale), max(1, BATCH_SIZE // count)
    found = []
    for first in range(0, size, at_once):
        stepped = probes[None] + steps[first : first + at_once, None]  # [dimensions, P, Z]
        after = renderer.pixels(stepped.reshape(-1, size), np.tile(told, len(stepped))) / 255.0
        found.append(np.square(after.reshape(len(stepped), *before.shape) - before).mean(axis=(1, 2, 3, 4)))
    return np.concatenate(found)


def along_prior(renderer: Renderer, seed: int = 0) -> Exhibit:
    """Of a GAN: the dimensions that change the picture most."""
    latents = standard_normal_latents(seed, PROBES, renderer.latent_size).astype(np.float64)
    scale = np.ones(renderer.latent_size)
    measured = effects(renderer, latents, scale)
    return _exhibit(
        renderer,
        latents[0],
        np.zeros_like(scale),
        scale,
        _largest(measured),
        note="Around one latent of the prior one dimension at a time is set to values from −3 to 3. The dimensions are "
        "those that change the picture most. Effect: mean squared change of a pixel in [0, 1] for a step of 1.",
        captions=[f"effect {value:.2g}" for value in measured],
    )


def along_codes(renderer: Renderer, codes: Codes, labels: npt.NDArray[np.int64]) -> Exhibit:
    """Of a VAE: the dimensions with the largest KL. Of an AE: those whose own spread changes the picture most.

    Args:
        renderer: the decoder.
        codes: of held-out rows, finite.
        labels: their classes, int64 [N].
    """
    mean = codes.mean
    if codes.log_variance is not None:
        rate = np.sum(mean_kl_parts(codes.mean, codes.log_variance), axis=0)
        return _exhibit(
            renderer,
            mean[0],
            np.zeros(mean.shape[1]),
            np.ones(mean.shape[1]),
            _largest(rate),
            label=int(labels[0]),
            note="Around the code of one held-out picture one dimension at a time is set to values from −3 to 3, the "
            "prior's range. The dimensions are those with the largest KL: they carry what the code says.",
            captions=[f"{number(round(float(nats), 2))} nats" for nats in rate],
        )
    center, scale = mean.mean(axis=0), mean.std(axis=0)
    measured = effects(renderer, mean[:PROBES], scale, labels[:PROBES])
    return _exhibit(
        renderer,
        mean[0],
        center,
        scale,
        _largest(measured),
        label=int(labels[0]),
        note="Around the code of one held-out picture one dimension at a time is set to values within three standard "
        "deviations of all codes. The dimensions are those that change the picture most. Effect: mean squared change "
        "of a pixel in [0, 1] for a step of one standard deviation.",
        captions=[f"effect {value:.2g}" for value in measured],
    )


def _largest(values: Floats) -> npt.NDArray[np.int64]:
    """The dimensions with the largest values, largest first."""
    return np.argsort(-np.where(np.isfinite(values), values, -np.inf), kind="stable")[:DIMENSIONS]


def _exhibit(
    renderer: Renderer,
    base: Floats,
    center: Floats,
    scale: Floats,
    dimensions: npt.NDArray[np.int64],
    *,
    note: str,
    captions: Sequence[str],
    label: int = 0,
) -> Exhibit:
    steps = np.linspace(-REACH, REACH, STEPS)
    latents = np.tile(base, (len(dimensions), STEPS, 1))
    for row, dimension in enumerate(dimensions):
        latents[row, :, dimension] = center[dimension] + steps * scale[dimension]
    pixels = thumbnails(renderer.pixels(latents.reshape(-1, len(base)), label), _LONGEST)
    figures = [
        Figure(
            alt=f"Latent dimension {dimension} from −3 to 3 standard deviations in {STEPS} pictures",
            caption=f"Dimension {dimension}: {captions[dimension]}",
            png=grid(pixels[row * STEPS : (row + 1) * STEPS], columns=STEPS),
        )
        for row, dimension in enumerate(dimensions)
    ]
    return Exhibit("One dimension at a time", note + renderer.told(label), figures, layout="pair")
