"""What each dimension of a VAE's code carries: its KL in two parts, and its bits beside its noise."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from components.evaluate.pictures.exhibit import Exhibit, Figure
from components.evaluate.words import number
from components.figures.columns import column_chart
from components.figures.points import point_chart
from models.metrics.bounds import kl_parts

MOST_COLUMNS: Final = 40

Floats = npt.NDArray[np.float64]


def mean_kl_parts(mean: Floats, log_variance: Floats) -> tuple[Floats, Floats]:
    """KL to the prior per dimension, averaged over data: from means, from variances. [N, Z] → twice [Z], nats."""
    from_mean, from_variance = kl_parts(mean, log_variance)
    return np.asarray(from_mean.mean(axis=0)), np.asarray(from_variance.mean(axis=0))


def code_rates(mean: Floats, log_variance: Floats) -> Exhibit:
    """Two charts over the dimensions of a VAE's code.

    In the second the curve is -log2 sigma: a dimension lies on it exactly where its codes fill the prior, E[mu²] +
    E[sigma²] = 1, with sigma the geometric mean over data; one that lies above pays for codes outside the prior.

    Args:
        mean: of the posteriors of held-out rows, finite, [N, Z].
        log_variance: finite, [N, Z].
    """
    from_mean, from_variance = mean_kl_parts(mean, log_variance)
    nats = from_mean + from_variance
    order = np.argsort(-nats, kind="stable")[:MOST_COLUMNS]
    names = [str(dimension) for dimension in order]
    left_out = "" if len(order) == len(nats) else f" The {len(order)} largest of {len(nats)} are shown."
    columns = column_chart(
        "KL of each latent dimension, from means and from variances",
        names,
        {"from the means": from_mean[order].tolist(), "from the variances": from_variance[order].tolist()},
        x_label="latent dimension, largest first",
        y_label="nats per sample",
    )
    sigma, bits = np.exp(0.5 * log_variance.mean(axis=0)), nats / math.log(2.0)
    curve = [(x, -math.log2(x)) for x in np.geomspace(1e-3, 1.0, 200).tolist()]
    points = point_chart(
        "Bits of each latent dimension against its posterior sigma",
        [
            (float(s), float(b), f"dimension {d}: σ {s:.3g}, {b:.2f} bits")
            for d, (s, b) in enumerate(zip(sigma, bits, strict=True))
        ],
        curve,
        curve_name="codes that fill the prior: −log₂ σ",
        x_label="posterior sigma, geometric mean over data",
        y_label="bits per sample",
    )
    return Exhibit(
        title="What each dimension carries",
        note=f"KL of the posteriors to the prior on {len(mean):,} held-out rows, "
        f"{number(float(nats.sum()))} nats in all. A dimension whose posterior is as wide as the prior carries "
        "nothing; the less noise, the more bits.",
        figures=[
            Figure(
                "Columns: the KL of each dimension in its two parts",
                "The KL of each dimension: means spread out pay one part, variances below 1 the other." + left_out,
                svg=Markup(columns),
            ),
            Figure(
                "Points: bits against sigma of each dimension",
                "The larger the variance of a code, the less it carries. Points above the curve: codes that are spread "
                "wider than the prior.",
                svg=Markup(points),
            ),
        ],
        layout="pair",
    )
