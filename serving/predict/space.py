"""Ways through the latent space: towards its centre, from one place to another, around one place.

All of it is computed in float64 and rounded to float32 once, so that a client can make the same latents.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from serving.predict.latents import standard_normal_latents

Latents = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Path = Literal["spherical", "linear"]

PATHS: tuple[Path, ...] = get_args(Path)
_PARALLEL = 1e-6  # radians between two directions below which they count as one, or as opposite


def truncated(latents: Latents, truncation: float) -> Latents:
    """``z' = psi z``, for psi in (0, 1].

    The prior N(0, I) becomes N(0, psi^2 I): samples nearer to the typical one, and less different from each
    other. It is a scaling, not the resampling of components beyond a bound that Brock et al. 2019
    ("Large scale GAN training", section 3.1) call the truncation trick. With 1 the same array is given back.
    """
    return latents if truncation == 1.0 else (latents.astype(np.float64) * truncation).astype(np.float32)


def path_between(start: Latents, end: Latents, steps: int, path: Path = "spherical") -> Latents:
    """Latents at equal steps from one to another; the first and the last are those two, bit for bit.

    Args:
        start: float32 [Z].
        end: float32 [Z].
        steps: at least 2.
        path: ``linear`` is the chord ``(1 - t) a + t b``. It leaves the shell on which a normal prior lies:
            halfway between two independent latents the norm is smaller by about sqrt(2). ``spherical`` (Shoemake
            1985, "Animating rotation with quaternion curves", section 3.3) turns the direction at a constant
            speed along the great circle, while the norm goes from ``|a|`` to ``|b|`` linearly.

    Returns:
        float32 [steps, Z]. Where no great circle is singled out, a spherical path is this one: latents of one
        direction keep it; those of opposite directions turn through the first axis, of those least along ``a``,
        made orthogonal to ``a``; a latent of norm 0 has no direction and takes the other's, which is the chord;
        so is the path between opposite latents of one dimension, which has no way around.
    """
    a, b = start.astype(np.float64), end.astype(np.float64)
    t = np.linspace(0.0, 1.0, steps)[:, None]
    turned = _turned(a, b, t) if path == "spherical" else None
    latents = ((1.0 - t) * a + t * b if turned is None else turned).astype(np.float32)
    latents[0], latents[-1] = start, end
    return latents


def _turned(a: Vector, b: Vector, t: Vector) -> Vector | None:
    """The spherical path [steps, Z], or None if it is the chord."""
    norm_a, norm_b = _norm(a), _norm(b)
    if norm_a == 0.0 or norm_b == 0.0:
        return None
    first, second = a / norm_a, b / norm_b
    along = float(first @ second)
    across = second - along * first
    angle = float(np.arctan2(_norm(across), along))
    if angle < _PARALLEL:
        return None
    if angle > np.pi - _PARALLEL:
        if len(a) == 1:
            return None
        axis = np.zeros_like(a)
        axis[np.argmin(np.abs(first))] = 1.0
        across = axis - (axis @ first) * first
    across /= _norm(across)
    return ((1.0 - t) * norm_a + t * norm_b) * (np.cos(t * angle) * first + np.sin(t * angle) * across)


def _norm(vector: Vector) -> float:
    # Divided by the largest first: the square of a component may be beyond float64, or 0.
    largest = float(np.abs(vector).max())
    return largest * float(np.linalg.norm(vector / largest)) if largest > 0.0 else 0.0


def around(latent: Latents, noise: Latents, radius: float) -> Latents:
    """Neighbours of a latent: ``z cos(t) + e sin(t)``, with t = radius * pi / 2 and radius in (0, 1].

    If z and e are independent and normal, so is the result, for any t: neighbours stay on the shell of the
    prior. A radius near 0 gives near copies, 1 gives the noise itself.

    Args:
        latent: float32 [Z].
        noise: float32 [N, Z].

    Returns:
        float32 [N, Z].
    """
    if radius == 1.0:
        return noise.copy()  # cos(pi / 2) is not quite 0 in float64
    angle = radius * np.pi / 2.0
    mixed: Vector = np.cos(angle) * latent.astype(np.float64) + np.sin(angle) * noise.astype(np.float64)
    return mixed.astype(np.float32)


def neighbours_of(latent: Latents, count: int, radius: float, *, seed: int, index: int) -> Latents:
    """Neighbours by the noise of indices ``index + 1 .. index + count`` of a seed; float32 [count, Z]."""
    return around(latent, standard_normal_latents(seed, count, len(latent), first_index=index + 1), radius)
