"""Which modes a model shows, and in what shares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Shares = npt.NDArray[np.float64]


def mode_counts(logits: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Samples per mode, the mode being the argmax: logits [N, K] → [K]."""
    return np.bincount(logits.argmax(axis=1), minlength=logits.shape[1])


def kl_of_histograms(p: Shares, q: Shares) -> float:
    """KL(p ‖ q) in nats; infinite where p has mass and q none. Both [K], summing to 1."""
    inside = p > 0
    with np.errstate(divide="ignore"):
        return float(np.sum(p[inside] * (np.log(p[inside]) - np.log(q[inside]))))


def kl_sampling_floor(modes: int, samples: int) -> float:
    """What the KL of a histogram against its own truth is on average: (K - 1) / (2 N), in nats (Miller 1955)."""
    return (modes - 1) / (2.0 * samples)


def high_quality_share(samples: npt.NDArray[np.floating], centers: npt.NDArray[np.floating], sigma: float) -> float:
    """Share of samples [N, D] within 3 sigma of the nearest of the centers [K, D] (Lin et al. 2018, section 4.1)."""
    return float((nearest_center(samples, centers)[1] <= 3.0 * sigma).mean())


def recovered_modes(samples: npt.NDArray[np.floating], centers: npt.NDArray[np.floating], sigma: float) -> int:
    """Modes with at least one sample within 3 sigma (Lin et al. 2018, section 4.1)."""
    nearest, distance = nearest_center(samples, centers)
    return len(np.unique(nearest[distance <= 3.0 * sigma]))


def nearest_center(
    samples: npt.NDArray[np.floating], centers: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """For every sample [N, D] the index of the nearest center [K, D] and the distance to it, both [N]."""
    difference = np.asarray(samples, dtype=np.float64)[:, None, :] - np.asarray(centers, dtype=np.float64)
    distance = np.sqrt(np.square(difference).sum(axis=2))
    nearest = distance.argmin(axis=1)
    return nearest, distance[np.arange(len(samples)), nearest]
