"""Sharpness of pictures: what a Laplacian leaves of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.metrics.estimate import NORMAL_QUANTILE, Estimate

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""

PICTURES_AT_ONCE = 256


@dataclass(frozen=True)
class Sharpness:
    """Mergeable sums over pictures of the variance of the Laplacian: count, sum and sum of squares."""

    count: int
    total: float
    squares: float

    @classmethod
    def of(cls, pictures: npt.NDArray[np.uint8]) -> Sharpness:
        """Of uint8 [N, H, W, C], C 1 or 3, H and W at least 3.

        Per picture the variance of 4 x - (its four neighbours) of luma in 0..255, over pixels that have all of them
        (the measure of focus of Pech-Pacheco et al. 2000).

        Raises:
            ValueError: for another shape or dtype.
        """
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[3] not in (1, 3):
            raise ValueError(f"sharpness is of uint8 [N, H, W, 1 or 3], got {pictures.dtype} {pictures.shape}")
        if min(pictures.shape[1:3]) < 3:
            raise ValueError(f"a Laplacian needs 3 by 3 pixels, got {pictures.shape[1]} by {pictures.shape[2]}")
        blocks = [
            _laplacian_variances(pictures[start : start + PICTURES_AT_ONCE])
            for start in range(0, len(pictures), PICTURES_AT_ONCE)
        ]
        variances = np.concatenate([np.zeros(0), *blocks])
        return cls(len(variances), float(variances.sum()), float(np.square(variances).sum()))

    def __add__(self, other: Sharpness) -> Sharpness:
        return Sharpness(self.count + other.count, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """Mean variance of the Laplacian, in squared steps of 255. Raises ZeroDivisionError without a picture."""
        return self.total / self.count

    @property
    def variance_of_mean(self) -> float:
        """Squared standard error of the mean. Raises ValueError below two pictures."""
        if self.count < 2:
            raise ValueError(f"a standard error needs at least 2 pictures, got {self.count}")
        return max(self.squares - self.count * self.mean**2, 0.0) / (self.count - 1) / self.count


def sharpness_ratio(samples: Sharpness, real: Sharpness) -> Estimate:
    """Mean sharpness of samples over that of real pictures: below 1 is blur. 95 % interval by the delta method.

    On the logarithm, so that it stays positive: Var(log r) = se²/m² of both means (Lehmann 1999, section 2.5).

    Raises:
        ValueError: if the real pictures are all flat, or below two pictures on a side.
    """
    if real.mean == 0.0:
        raise ValueError("flat real pictures have no sharpness to compare with")
    ratio = samples.mean / real.mean
    if ratio == 0.0:
        return Estimate(0.0, 0.0, 0.0)
    error = math.sqrt(sum(side.variance_of_mean / side.mean**2 for side in (samples, real)))
    return Estimate(ratio, ratio * math.exp(-NORMAL_QUANTILE * error), ratio * math.exp(NORMAL_QUANTILE * error))


def _laplacian_variances(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """[N, H, W, C] → [N]."""
    luma = pictures[..., 0].astype(np.float64) if pictures.shape[3] == 1 else pictures @ np.array(LUMA)
    inside = luma[:, 1:-1, 1:-1]
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    variances: npt.NDArray[np.float64] = (4.0 * inside - around).var(axis=(1, 2))
    return variances
