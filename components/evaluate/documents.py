"""``metrics.json`` and ``verdict.json`` of a Report."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from components.artifacts import Document
from models.config import Settings
from models.metrics.estimate import Estimate

METRICS_NAME = "metrics.json"
VERDICT_NAME = "verdict.json"
REPORT_NAME = "report.html"


class Metric(Settings):
    """One number, how sure it is, and what it was computed from."""

    value: float | None = Field(description="none where it could not be computed or was not finite")
    interval: tuple[float, float] | None = None
    count: int = Field(description="samples it was computed from")
    unit: str = ""
    extractor_sha256: str = ""

    @classmethod
    def finite(cls, value: float, count: int, unit: str = "") -> Metric:
        """The number, or none where it is not finite."""
        return cls(value=value if math.isfinite(value) else None, count=count, unit=unit)

    @classmethod
    def estimated(cls, estimate: Estimate, count: int, unit: str = "") -> Metric:
        """The estimate with its interval, or none where one of the three is not finite."""
        ends = (estimate.low, estimate.high)
        if not all(map(math.isfinite, (estimate.value, *ends))):
            return cls(value=None, count=count, unit=unit)
        return cls(value=estimate.value, interval=ends, count=count, unit=unit)

    @classmethod
    def mean_of(cls, values: npt.NDArray[np.float64], unit: str = "") -> Metric:
        """The mean of independent values [N] with its interval; without one where N is 1 or a value is not finite."""
        center = float(values.mean())
        if len(values) < 2 or not np.isfinite(values).all():
            return cls.finite(center, len(values), unit)
        return cls.estimated(Estimate.normal(center, float(values.var(ddof=1)) / len(values)), len(values), unit)


class CodeDimension(Settings):
    """One latent dimension of a VAE over the held-out data."""

    dimension: int
    kl_from_mean: float = Field(description="nats")
    kl_from_variance: float = Field(description="nats")
    posterior_sigma: float = Field(description="mean standard deviation of q(z|x)")
    mean_variance: float = Field(description="variance of the posterior mean over the data; above .01 it is in use")


class Metrics(Document):
    """Everything that was measured on the exported graphs."""

    family: Literal["gan", "vae", "ae"]
    dataset_name: str
    dataset_fingerprint: str
    extractor_sha256: str
    sampler_sha256: str = Field(description="of the graph whose samples these are")
    frechet_floor: Metric = Field(description="distance between halves of the held-out data: the unit of the limit")
    metrics: dict[str, Metric]
    samples_sha256: str = Field(description="of the drawn pixels or vectors: equal runs have equal hashes")
    mode_names: list[str]
    mode_shares: list[float] = Field(description="of the samples, by mode")
    real_mode_shares: list[float] = Field(description="of the held-out data, by mode")
    code: list[CodeDimension] = Field(default_factory=list, description="of a VAE, the dearest dimension first")
    registered_version: str = Field(
        default="", description="models:/NAME/VERSION, where a version of the registry was judged and no directory"
    )
    champion_seen: str | None = Field(
        default=None, description="the version that served while this was measured, whether it could be compared or not"
    )
    champion_version: str | None = Field(default=None, description="the version that it was compared with")
    champion: dict[str, Metric] = Field(
        default_factory=dict, description="the champion on the same data and seeds; empty if not comparable"
    )
    data: dict[str, str] = Field(default_factory=dict, description="what people ask of the data, each in one line")
    data_warnings: list[str] = Field(default_factory=list, description="what people would want to mend in it")
    champion_note: str = Field(default="", description="why there is no comparison, or what it is with")


class Check(Settings):
    """One question of the gate and its answer."""

    name: str
    value: float | None
    interval: tuple[float, float] | None
    limit: float | None
    champion: float | None
    passed: bool
    reason: str


class Verdict(Document):
    """The gate's answer: passed only if every check is."""

    passed: bool
    checks: list[Check]
    non_inferior: bool = Field(description="not worse than the champion; true where there is none")
    limits_source: str
