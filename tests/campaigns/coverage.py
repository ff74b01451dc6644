"""How often the 95 % intervals of the Fréchet distance and of the kernel distance hold the truth.

Samples are drawn from distributions whose distances are known in closed form: equal standard normals, where first-order
variances vanish; normals apart in mean and in covariance, in axes of their own; and independent exponentials apart in
mean and scale, in the axes of the features, for skewness. The smaller set has N rows of d features, the larger one 4 N.
A cell's share of covered trials comes with its own 95 % interval; the aim is 93 to 97 %.

    make campaign NAME=coverage
    python -m tests.campaigns.coverage --trials 1000 --record docs/benchmarks/coverage.md
    python -m tests.campaigns.coverage --trials 200 --bootstrap 100     (the bootstrap's interval, for comparison)
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.metrics.estimate import Estimate
from models.metrics.frechet import bootstrap_corrected, frechet_between
from models.metrics.frechet_interval import frechet_interval
from models.metrics.kernel import kernel_distance
from models.metrics.shares import wilson_interval

Array = npt.NDArray[np.float64]

DIMENSIONS = (16, 32, 64)
ROWS_PER_FEATURE = (8, 16, 32)
LARGER = 4
"""Rows of the larger set, per row of the smaller one."""
AIM = (0.93, 0.97)


@dataclass(frozen=True)
class Case:
    """Two distributions: standard noise of ``draw``, and the same through ``mean`` + noise @ ``factor``."""

    draw: Callable[[np.random.Generator, tuple[int, int]], Array]
    mean: Array
    factor: Array

    def sample(self, generator: np.random.Generator, rows: int) -> tuple[Array, Array]:
        width = len(self.mean)
        first = self.draw(generator, (rows, width))
        return first, self.mean + self.draw(generator, (LARGER * rows, width)) @ self.factor

    @property
    def frechet(self) -> float:
        """Against the identity as the other covariance the trace of the root is the nuclear norm of the factor."""
        scales = np.linalg.svd(self.factor, compute_uv=False)
        return float(self.mean @ self.mean + np.square(scales - 1.0).sum())

    @property
    def kernel(self) -> float:
        """MMD² under (xᵀy / d + 1)³, for normals."""
        width = len(self.mean)
        zero, identity, covariance = np.zeros(width), np.eye(width), self.factor.T @ self.factor
        return (
            kernel_mean(zero, identity, zero, identity)
            + kernel_mean(self.mean, covariance, self.mean, covariance)
            - 2.0 * kernel_mean(zero, identity, self.mean, covariance)
        )


def kernel_mean(mean_a: Array, covariance_a: Array, mean_b: Array, covariance_b: Array) -> float:
    """E (xᵀy / d + 1)³ of independent normals x and y, from the first three moments of xᵀy (Isserlis 1918)."""
    width, inner = len(mean_a), float(mean_a @ mean_b)
    across = float(mean_a @ covariance_b @ mean_a + mean_b @ covariance_a @ mean_b)
    trace = float(np.trace(covariance_a @ covariance_b))
    second = inner**2 + across + trace
    third = inner**3 + 3.0 * inner * (across + trace) + 6.0 * float(mean_a @ covariance_b @ covariance_a @ mean_b)
    return 1.0 + 3.0 * inner / width + 3.0 * second / width**2 + third / width**3


def _normal(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    return generator.standard_normal(shape)


def _exponential(generator: np.random.Generator, shape: tuple[int, int]) -> Array:
    return generator.standard_exponential(shape) - 1.0


def case(name: str, width: int) -> Case:
    """A case by its name."""
    scales, mean = np.linspace(0.5, 1.5, width), np.full(width, 0.3)
    match name:
        case "equal":
            return Case(_normal, np.zeros(width), np.eye(width))
        case "apart":
            axes = np.linalg.qr(_normal(np.random.Generator(np.random.PCG64(0)), (width, width)))[0]
            return Case(_normal, mean, axes * scales @ axes.T)
        case "skewed":
            return Case(_exponential, mean, np.diag(scales))
        case _:
            raise ValueError(f"no case {name}")


@dataclass(frozen=True)
class Cell:
    """What came out of the trials of one size. Bias and deviation are the value's, in its own unit."""

    statistic: str
    case: str
    width: int
    rows_per_feature: int
    trials: int
    covered: int
    truth: float
    bias: float
    deviation: float
    mean_half_width: float
    milliseconds: float

    @property
    def key(self) -> tuple[str, str, int, int]:
        return self.statistic, self.case, self.width, self.rows_per_feature

    @property
    def holds(self) -> bool:
        return AIM[0] <= self.covered / self.trials <= AIM[1]

    def row(self) -> str:
        share = wilson_interval(self.covered, self.trials)
        cells = (
            f"{self.statistic}, {self.case}",
            self.width,
            self.rows_per_feature,
            f"{100 * share.value:.1f} ({100 * share.low:.1f} to {100 * share.high:.1f})",
            f"{self.truth:.4g}",
            f"{self.bias:+.2g}",
            f"{self.deviation:.2g}",
            f"{self.mean_half_width:.2g}",
            f"{self.milliseconds:.0f}",
        )
        return f"| {' | '.join(map(str, cells))} |"


def measured(statistic: str, name: str, width: int, rows_per_feature: int, trials: int, replicates: int) -> Cell:
    """Trials with seeds of their own, 0 to ``trials`` - 1."""
    drawn, estimates, seconds = case(name, width), [], 0.0
    for seed in range(trials):
        generator = np.random.Generator(np.random.PCG64([width, rows_per_feature, seed]))
        first, second = drawn.sample(generator, rows_per_feature * width)
        started = time.perf_counter()
        estimates.append(_estimate(statistic, first, second, seed, replicates))
        seconds += time.perf_counter() - started
    truth = drawn.kernel if statistic == "kernel" else drawn.frechet
    values = np.array([estimate.value for estimate in estimates])
    return Cell(
        statistic,
        name,
        width,
        rows_per_feature,
        trials,
        sum(estimate.low <= truth <= estimate.high for estimate in estimates),
        truth,
        float(values.mean() - truth),
        float(values.std(ddof=1)),
        float(np.mean([estimate.high - estimate.value for estimate in estimates])),
        1e3 * seconds / trials,
    )


def _estimate(statistic: str, first: Array, second: Array, seed: int, replicates: int) -> Estimate:
    match statistic:
        case "Fréchet":
            return frechet_interval(first, second, seed=seed)
        case "kernel":
            return kernel_distance(first, second)
        case _:
            return bootstrap_corrected(first, second, frechet_between, replicates=replicates, seed=seed)


def main() -> int:
    """Go through the cells; 0 where all are within the aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1_000)
    parser.add_argument("--bootstrap", type=int, default=0, metavar="REPLICATES", help="the bootstrap's cells instead")
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    parser.add_argument("--cells", type=Path, help="JSON lines of finished cells: kept, and not measured again")
    arguments = parser.parse_args()
    wanted = (
        [("bootstrap", "equal"), ("bootstrap", "apart")]
        if arguments.bootstrap
        else [
            ("Fréchet", "equal"),
            ("Fréchet", "apart"),
            ("kernel", "apart"),
            ("Fréchet", "skewed"),
            ("kernel", "equal"),
        ]
    )
    keys = [(*pair, width, rows) for pair, width, rows in itertools.product(wanted, DIMENSIONS, ROWS_PER_FEATURE)]
    done = {cell.key: cell for cell in _read(arguments.cells) if cell.trials == arguments.trials}
    for key in sorted(set(keys) - set(done), key=_cost):
        done[key] = measured(*key, arguments.trials, arguments.bootstrap)
        print(done[key].row(), flush=True)
        if arguments.cells:
            with arguments.cells.open("a") as stream:
                stream.write(json.dumps(asdict(done[key])) + "\n")
    cells = [done[key] for key in keys]
    text = report(cells)
    print(text)
    if arguments.record:
        arguments.record.write_text(text)
    failed = sum(not cell.holds for cell in cells)
    print(f"{len(cells) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _cost(key: tuple[str, str, int, int]) -> float:
    """About the milliseconds of a trial, so that cheap cells come first: the kernel's are quadratic in the rows."""
    statistic, _, width, rows = key
    return 1.6e-4 * (rows * width) ** 2 if statistic == "kernel" else 1e-3 * rows * width**2


def _read(path: Path | None) -> list[Cell]:
    if path is None or not path.exists():
        return []
    return [Cell(**json.loads(line)) for line in path.read_text().splitlines()]


def report(cells: Sequence[Cell]) -> str:
    """The Markdown text."""
    outside = [
        f"{cell.statistic}, {cell.case}, {cell.width} x {cell.rows_per_feature}" for cell in cells if not cell.holds
    ]
    lines = [
        "# Coverage of the 95 % intervals",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, one thread, seeds 0 to {max(cell.trials for cell in cells) - 1:,}; "
        f"`{' '.join(['python -m', __spec__.name, *sys.argv[1:]])}`",
        "",
        f"The smaller set has N rows, the larger {LARGER} N. Aim: {AIM[0]:.0%} to {AIM[1]:.0%} of the trials covered. "
        f"Outside: {'; '.join(outside) or 'none'}.",
        "",
        "| interval, case | d | N/d | covered % (95 % interval) | truth | bias | deviation | half width | ms |",
        "|---|---|---|---|---|---|---|---|---|",
        *(cell.row() for cell in cells),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
