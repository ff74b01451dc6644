"""Toy densities whose modes are known exactly (the protocol of Lin et al. 2018, "PacGAN", section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Mixture:
    """Equally weighted isotropic Gaussians in the plane.

    ``centers`` is float64 [K, 2]; ``sigma`` the standard deviation of each along each axis.
    """

    name: str
    centers: npt.NDArray[np.float64]
    sigma: float

    def sample(self, rows: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Rows drawn independently: samples float32 [rows, 2] and the mode of each, int64 [rows]."""
        generator = np.random.Generator(np.random.PCG64(seed))
        modes = generator.integers(len(self.centers), size=rows)
        samples = self.centers[modes] + self.sigma * generator.standard_normal((rows, 2))
        return samples.astype(np.float32), modes.astype(np.int64)


def ring(modes: int = 8, radius: float = 1.0, sigma: float = 0.01) -> Mixture:
    """Gaussians on a circle."""
    angle = 2.0 * np.pi * np.arange(modes) / modes
    return Mixture(f"ring{modes}", radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), sigma)


def grid(side: int = 5, spacing: float = 2.0, sigma: float = 0.05) -> Mixture:
    """Gaussians on a square lattice around the origin."""
    axis = spacing * (np.arange(side) - (side - 1) / 2.0)
    return Mixture(f"grid{side * side}", np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), sigma)


MIXTURES = {mixture.name: mixture for mixture in (ring(), grid())}
