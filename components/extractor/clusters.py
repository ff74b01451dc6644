"""Modes of pictures without labels: clusters of their pixels, so that coverage still means something."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

COMPONENTS = 32
FITTED_ROWS = 20_000


def cluster_labels(samples: npt.NDArray[Any], clusters: int, seed: int) -> npt.NDArray[np.int64]:
    """k-means on the leading principal components of the pixels.

    Args:
        samples: uint8 [N, C, H, W] or float32 [N, D]; the first 20,000 rows are fitted.
        clusters: K; fewer where there are fewer rows.

    Returns:
        int64 [N], each in 0 .. K-1.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    rows = np.asarray(samples, dtype=np.float32).reshape(len(samples), -1)
    components = min(COMPONENTS, *rows[:FITTED_ROWS].shape)
    reduction = PCA(components, random_state=seed).fit(rows[:FITTED_ROWS])
    reduced = reduction.transform(rows)
    fitted = KMeans(min(clusters, len(rows)), n_init=4, random_state=seed).fit(reduced[:FITTED_ROWS])
    return np.asarray(fitted.predict(reduced), dtype=np.int64)
