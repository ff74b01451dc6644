"""Distances between features beside torch-fidelity, prdc and SciPy: `make bench NAME=metrics`.

The peers are installed into a temporary directory. Equality is on the same features. Time is of the last statistic
alone, from means and covariances that are given: SciPy's `sqrtm` of the product as the first public code took it, and
torch-fidelity's own function, which takes the eigenvalues of the product. Runs alternate in order; medians of the
ratios of pairs. In the case without full rank the features are made of singular vectors that both sets share, so that
the distance is known in closed form: sum of (s_a - s_b)² plus the squared difference of means.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.peers import installed
from benchmarks.record import table, write
from models.metrics.frechet import bootstrap_corrected, frechet_between, frechet_distance
from models.metrics.frechet_interval import frechet_interval
from models.metrics.gaussian import GaussianStatistics
from models.metrics.kernel import kernel_distance
from models.metrics.prdc import prdc
from models.networks.features.inception import InceptionFeatures

Array = npt.NDArray[np.float64]

PEERS = ("torch-fidelity==0.4.0", "prdc==0.2", "tqdm==4.67.1")
NEIGHBOURS = 5


def network_like(rows: int, width: int, seed: int, *, mixing: int = 0) -> Array:
    """Not negative, correlated and of a falling spectrum, as features behind a ReLU are; ``mixing`` seeds the axes."""
    generator = np.random.Generator(np.random.PCG64(seed))
    axes = np.random.Generator(np.random.PCG64(mixing)).standard_normal((width, width)) / np.sqrt(width)
    latent = generator.standard_normal((rows, width)) / np.sqrt(1.0 + np.arange(width) / 16.0)
    features: Array = np.maximum(latent @ axes + 0.1, 0.0)
    return features


def by_sqrtm(a: GaussianStatistics, b: GaussianStatistics) -> float:
    """With SciPy's matrix square root of the product, its real part."""
    import scipy.linalg  # type: ignore[import-untyped, unused-ignore]

    root = scipy.linalg.sqrtm(a.covariance @ b.covariance)
    difference = a.mean - b.mean
    return float(difference @ difference + np.trace(a.covariance) + np.trace(b.covariance) - 2.0 * np.trace(root).real)


def by_torch_fidelity(a: GaussianStatistics, b: GaussianStatistics) -> float:
    """torch-fidelity's own last step."""
    from torch_fidelity.metric_fid import fid_statistics_to_metric  # type: ignore[import-not-found, unused-ignore]

    sides = ({"mu": side.mean, "sigma": side.covariance} for side in (a, b))
    return float(fid_statistics_to_metric(*sides, False)["frechet_inception_distance"])


def plain_kernel_distance(a: Array, b: Array) -> float:
    """The three kernel matrices whole."""
    n, m, d = len(a), len(b), a.shape[1]
    within_a, within_b, across = ((x @ y.T / d + 1.0) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    return float(
        (within_a.sum() - np.trace(within_a)) / (n * (n - 1))
        + (within_b.sum() - np.trace(within_b)) / (m * (m - 1))
        - 2.0 * across.mean()
    )


def inception_features(shape: tuple[int, int, int, int]) -> tuple[Array, Array]:
    """Of the same pictures by our network and by torch-fidelity's, with the same weights, [N, 2048] each."""
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import (  # type: ignore[import-not-found, unused-ignore]
        FeatureExtractorInceptionV3,
    )

    torch.manual_seed(0)
    own = InceptionFeatures()
    for parameter in own.network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    for name, buffer in own.network.named_buffers():
        if "running_mean" in name:
            buffer.normal_(0.0, 0.1)
        elif "running_var" in name:
            buffer.uniform_(0.5, 2.0)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "weights.pt"
        torch.save(own.network.state_dict(), path)
        peer = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))
    pictures = torch.randint(0, 256, shape, dtype=torch.uint8)
    with torch.no_grad():
        return own(pictures.float()).double().numpy(), peer(pictures)[0].double().numpy()


def relative(found: float, expected: float) -> float:
    return abs(found - expected) / abs(expected)


def equality() -> list[tuple[object, ...]]:
    """Rows: what, ours, the peer's, relative difference, aim."""
    from prdc import compute_prdc  # type: ignore[import-not-found, unused-ignore]

    rows: list[tuple[object, ...]] = []

    def compare(name: str, ours: float, theirs: float, aim: str) -> None:
        rows.append((name, f"{ours:.8g}", f"{theirs:.8g}", f"{relative(ours, theirs):.1e}", aim))
        print(rows[-1], flush=True)

    for count, width in ((3_000, 256), (6_000, 512)):
        a, b = network_like(count, width, 1), 1.1 * network_like(count, width, 2) + 0.01
        sides = GaussianStatistics.of(a), GaussianStatistics.of(b)
        compare(f"FID, torch-fidelity, {count} x {width}", frechet_between(a, b), by_torch_fidelity(*sides), "1e-4")
    a, b = network_like(2_000, 64, 3), 1.1 * network_like(1_500, 64, 4) + 0.01
    compare("KID, plain numpy, 2000 and 1500 x 64", kernel_distance(a, b).value, plain_kernel_distance(a, b), "1e-9")
    for shape in ((4, 3, 64, 64), (2, 3, 299, 299), (2, 3, 75, 40)):
        own, peers = inception_features(shape)
        name = f"Inception-v3 features of {' x '.join(map(str, shape))}, torch-fidelity, equal random weights"
        rows.append((name, "", "", f"{np.abs(own - peers).max() / np.abs(peers).max():.1e}", "1e-5"))
        print(rows[-1], flush=True)
    ours, theirs = prdc(a, b, neighbours=NEIGHBOURS), compute_prdc(a, b, NEIGHBOURS)
    for name in ("precision", "recall", "density", "coverage"):
        compare(f"{name}, prdc, 2000 and 1500 x 64", getattr(ours, name), float(theirs[name]), "1e-9")
    return rows


def known_without_full_rank(width: int, rows: tuple[int, int], seed: int) -> tuple[Array, Array, float, float]:
    """Features [N, d] and [M, d] with N, M < d, their exact distance, and the sum of the traces."""
    generator = np.random.Generator(np.random.PCG64(seed))
    shared = np.linalg.qr(generator.standard_normal((width, width)))[0]
    sides, spectra = [], []
    for count in rows:
        centred = generator.standard_normal((count, count - 1))
        orthonormal = np.linalg.qr(centred - centred.mean(axis=0))[0]
        scales = np.sort(generator.gamma(0.5, 1.0, count - 1))[::-1]
        sides.append(np.sqrt(count - 1) * orthonormal * scales @ shared[: count - 1])
        spectra.append(np.pad(scales, (0, width - len(scales))))
    shift = generator.standard_normal(width) / np.sqrt(width)
    exact = float(shift @ shift + np.square(spectra[0] - spectra[1]).sum())
    return sides[0], sides[1] + shift, exact, float(np.square(spectra).sum())


def without_full_rank() -> list[tuple[object, ...]]:
    """Rows: sizes, and errors relative to the traces: ours from features and from statistics, the peers'."""
    rows: list[tuple[object, ...]] = []
    for width, counts in ((256, (100, 60)), (512, (200, 300)), (512, (511, 512))):
        a, b, exact, scale = known_without_full_rank(width, counts, seed=width)
        sides = GaussianStatistics.of(a), GaussianStatistics.of(b)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sqrtm warns that a root of a singular matrix may not exist
            found = (
                frechet_between(a, b),
                frechet_distance(*sides),
                by_torch_fidelity(*sides),
                by_sqrtm(*sides),
            )
        rows.append((f"{counts[0]} and {counts[1]} x {width}", *(f"{abs(v - exact) / scale:.1e}" for v in found)))
        print(rows[-1], flush=True)
    return rows


def paired(ours: Callable[[], Any], theirs: Callable[[], Any], pairs: int) -> tuple[list[float], list[float]]:
    """Seconds of each, in alternating order."""
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for pair in range(pairs):
        for is_ours in (True, False) if pair % 2 else (False, True):
            started = time.perf_counter()
            (ours if is_ours else theirs)()
            seconds[is_ours].append(time.perf_counter() - started)
    return seconds[True], seconds[False]


def speed_row(name: str, ours: Sequence[float], theirs: Sequence[float], aim: str) -> tuple[object, ...]:
    ratios = [slow / fast for slow, fast in zip(theirs, ours, strict=True)]
    row = (
        name,
        f"{statistics.median(ours):.3g}",
        f"{statistics.median(theirs):.3g}",
        f"{statistics.median(ratios):.1f}",
        f"{min(ratios):.1f} to {max(ratios):.1f}",
        aim,
    )
    print(row, flush=True)
    return row


def speed(width: int, pairs: int) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Rows of times, and of what the three gave at this width."""
    a, b = network_like(3 * width, width, 5), 1.1 * network_like(3 * width, width, 6) + 0.01
    sides = tuple(
        GaussianStatistics.from_moments(50_000, side.mean, side.covariance)
        for side in (GaussianStatistics.of(a), GaussianStatistics.of(b))
    )
    found = [distance(*sides) for distance in (frechet_distance, by_torch_fidelity, by_sqrtm)]
    values: list[tuple[object, ...]] = [
        (name, f"{value:.8g}", f"{relative(found[0], value):.1e}")
        for name, value in zip(("ours", "torch-fidelity", "sqrtm"), found, strict=True)
    ]
    rows = [
        speed_row(
            f"{name}, d = {width}",
            *paired(lambda: frechet_distance(*sides), lambda peer=peer: peer(*sides), pairs),  # type: ignore[misc]
            aim,
        )
        for name, peer, aim in (("sqrtm", by_sqrtm, "at least 5"), ("torch-fidelity", by_torch_fidelity, "at least 3"))
    ]
    few_a, few_b = a[:500], b[:500]
    few = GaussianStatistics.of(few_a), GaussianStatistics.of(few_b)
    rows.append(
        speed_row(
            f"torch-fidelity, 500 rows, d = {width}, from features",
            *paired(lambda: frechet_between(few_a, few_b), lambda: by_torch_fidelity(*few), pairs),
            "",
        )
    )
    c, d = network_like(1_000, 64, 7), network_like(4_000, 64, 8)
    rows.append(
        speed_row(
            "our bootstrap of 100, for the interval, 1000 and 4000 x 64",
            *paired(
                lambda: frechet_interval(c, d, seed=0),
                lambda: bootstrap_corrected(c, d, frechet_between, replicates=100, seed=0),
                pairs,
            ),
            "",
        )
    )
    return rows, values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=2048)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    with installed(PEERS):
        equal, deficient = equality(), without_full_rank()
        times, values = speed(options.width, options.pairs)
    body = "\n\n".join(
        (
            f"Peers: {', '.join(PEERS)} and SciPy. On the same features:",
            table(("", "ours", "peer's", "relative difference", "aim"), equal),
            f"Seconds from given means and covariances in float64, {options.pairs} pairs each in alternating order:",
            table(("against", "ours, s", "peer, s", "times as fast", "range", "aim"), times),
            table((f"value, d = {options.width}", "", "relative difference to ours"), values),
            "Fewer rows than features, against the closed form; errors as a share of the traces (aim: 1e-7):",
            table(("", "from features", "from statistics", "torch-fidelity", "sqrtm"), deficient),
        )
    )
    write("metrics", "Distances between features", "make bench NAME=metrics", body)


if __name__ == "__main__":
    main()
