"""What Prometheus is told."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.version_metrics import CanaryMetrics, VersionMetrics

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The server's metrics, in a registry of their own so that two servers fit in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        by_answer = ["route", "status"]
        self._requests = Counter("ganvas_serve_requests", "answers", by_answer, registry=self._registry)
        self._seconds = Histogram(
            "ganvas_serve_request_seconds",
            "time to the answer",
            by_answer,
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._version = Gauge(
            "ganvas_serve_model_version_info",
            "the version that answers",
            ["model", "version"],
            registry=self._registry,
        )
        self._passed = Gauge(
            "ganvas_serve_model_verdict_passed",
            "1 if the verdict on the served version is 'passed', 0 if it failed or is missing",
            ["model"],
            registry=self._registry,
        )
        self._swaps = Counter(
            "ganvas_serve_swaps", "attempts to take a version", ["model", "outcome"], registry=self._registry
        )
        self._unreachable = Counter(
            "ganvas_serve_registry_failures", "looks at a model's source that failed", registry=self._registry
        )
        self._versions: dict[str, str] = {}
        self.versions = VersionMetrics(self._registry, _SECONDS)
        self.canary = CanaryMetrics(self._registry)

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route, str(status)).observe(seconds)

    def model_served(self, model: str, version: str, verdict: str) -> None:
        """A version answers from now on, or its verdict changed."""
        before = self._versions.get(model)
        if before is not None and before != version:
            self._version.remove(model, before)
        self._versions[model] = version
        self._version.labels(model, version).set(1)
        self._passed.labels(model).set(verdict == "passed")

    def model_withdrawn(self, model: str) -> None:
        """No version answers any more."""
        self._version.remove(model, self._versions.pop(model))
        self._passed.remove(model)

    def swap(self, model: str, *, succeeded: bool) -> None:
        """A version was taken or refused."""
        self._swaps.labels(model, "success" if succeeded else "failure").inc()

    def registry_failed(self) -> None:
        """The registry could not be read."""
        self._unreachable.inc()

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)
