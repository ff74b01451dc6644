"""What Prometheus is told of each version apart, so that a canary can be compared with what it may replace."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serving.catalog import Served

MOST_VERSIONS = 4
"""Versions of a model that have series at a time: two that answer, and those that did last."""


class VersionMetrics:
    """Answers by version.

    A version that answered stays to be read, and the number of series stays bounded however often versions change:
    when a fifth comes, the one that has not answered for the longest time is forgotten.
    """

    def __init__(self, registry: CollectorRegistry, buckets: Sequence[float]) -> None:
        by_version = ["model", "version", "role"]
        self._requests = Counter(
            "ganvas_serve_version_requests", "answers by version", [*by_version, "status"], registry=registry
        )
        self._seconds = Histogram(
            "ganvas_serve_version_request_seconds",
            "time to the answer by version",
            by_version,
            buckets=buckets,
            registry=registry,
        )
        self._series: dict[tuple[str, str, str, int | str], tuple[Counter, Histogram]] = {}
        self._answers = 0
        self._last_answer: dict[str, dict[str, int]] = {}

    def observe(self, served: Served, status: int | str, seconds: float) -> None:
        """Count one answer of a version, be it an error."""
        self._answers += 1
        key = served.name, served.version, served.role, status
        series = self._series.get(key)  # looking a label up in prometheus_client takes longer than all the rest
        if series is None:
            by_version = key[:3]
            series = self._requests.labels(*by_version, str(status)), self._seconds.labels(*by_version)
            self._series[key] = series
        series[0].inc()
        series[1].observe(seconds)
        last_answer = self._last_answer.setdefault(served.name, {})
        last_answer[served.version] = self._answers
        if len(last_answer) > MOST_VERSIONS:
            self._forget(served.name, min(last_answer, key=last_answer.__getitem__))

    def _forget(self, model: str, version: str) -> None:
        del self._last_answer[model][version]
        self._series = {key: series for key, series in self._series.items() if key[:2] != (model, version)}
        for metric in (self._requests, self._seconds):
            metric.remove_by_labels({"model": model, "version": version})


class CanaryMetrics:
    """What canaries' followers do; see :class:`serving.metrics.Metrics` for the same of the models themselves."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._version = Gauge(
            "ganvas_serve_canary_version_info",
            "the canary's version that answers",
            ["model", "version"],
            registry=registry,
        )
        self._passed = Gauge(
            "ganvas_serve_canary_verdict_passed",
            "1 if the verdict on the canary is 'passed', 0 if it failed or is missing",
            ["model"],
            registry=registry,
        )
        self._swaps = Counter(
            "ganvas_serve_canary_swaps", "attempts to take a canary", ["model", "outcome"], registry=registry
        )
        self._unreachable = Counter(
            "ganvas_serve_canary_registry_failures", "looks for a canary that failed", registry=registry
        )

    def model_served(self, model: str, version: str, verdict: str) -> None:
        """A canary answers from now on, or its verdict changed."""
        self._version.remove_by_labels({"model": model})
        self._version.labels(model, version).set(1)
        self._passed.labels(model).set(verdict == "passed")

    def model_withdrawn(self, model: str) -> None:
        """No canary answers any more."""
        self._version.remove_by_labels({"model": model})
        self._passed.remove_by_labels({"model": model})

    def swap(self, model: str, *, succeeded: bool) -> None:
        """A canary was taken or refused."""
        self._swaps.labels(model, "success" if succeeded else "failure").inc()

    def registry_failed(self) -> None:
        """The registry could not be read."""
        self._unreachable.inc()
