"""What Prometheus is told of each version apart, so that a canary can be compared with what it may replace."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.catalog import Served
from serving.tally import Tally

MOST_VERSIONS = 4
"""Versions of a model that have series at a time: two that answer, and those that did last."""


class VersionMetrics(Collector):
    """Answers by version.

    A version that answered stays to be read, and the number of series stays bounded however often versions change:
    when a fifth comes, the one that has not answered for the longest time is forgotten.
    """

    def __init__(self, registry: CollectorRegistry, buckets: Sequence[float]) -> None:
        self._buckets = buckets
        # By model, and version, oldest answer first: the tally of each role's statuses.
        self._tallies: dict[str, dict[str, dict[tuple[str, int | str], Tally]]] = {}
        registry.register(self)

    def observe(self, served: Served, status: int | str, seconds: float) -> None:
        """Count one answer of a version, be it an error."""
        versions = self._tallies.get(served.name)
        if versions is None:
            versions = self._tallies[served.name] = {}
        of_version = versions.pop(served.version, None) or {}
        versions[served.version] = of_version  # the last to answer
        key = served.role, status
        tally = of_version.get(key)
        if tally is None:
            tally = of_version[key] = Tally(self._buckets)
            if len(versions) > MOST_VERSIONS:
                del versions[next(iter(versions))]
        tally.observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """The metrics, when they are scraped."""
        labels = ["model", "version", "role"]
        requests = CounterMetricFamily(
            "ganvas_serve_version_requests", "answers by version", labels=[*labels, "status"]
        )
        seconds = HistogramMetricFamily(
            "ganvas_serve_version_request_seconds", "time to the answer by version", labels=labels
        )
        for model, versions in self._tallies.items():
            for version, tallies in versions.items():
                of_role: dict[str, Tally] = {}
                for (role, status), tally in tallies.items():
                    requests.add_metric([model, version, role, str(status)], tally.count)
                    of_role.setdefault(role, Tally(self._buckets)).add(tally)
                for role, tally in of_role.items():
                    seconds.add_metric([model, version, role], tally.buckets, tally.sum)
        return requests, seconds


class Outcomes:
    """What the followers of models do, or those of their canaries; the words are for people."""

    def __init__(
        self,
        registry: CollectorRegistry,
        kind: Literal["model", "canary"],
        *,
        version: str,
        verdict_on: str,
        swaps: str,
        failures: str,
    ) -> None:
        counted = "ganvas_serve_canary_" if kind == "canary" else "ganvas_serve_"
        self._version = Gauge(f"ganvas_serve_{kind}_version_info", version, ["model", "version"], registry=registry)
        self._passed = Gauge(
            f"ganvas_serve_{kind}_verdict_passed",
            f"1 if the verdict on {verdict_on} is 'passed', 0 if it failed or is missing",
            ["model"],
            registry=registry,
        )
        self._swaps = Counter(counted + "swaps", swaps, ["model", "outcome"], registry=registry)
        self._unreachable = Counter(counted + "registry_failures", failures, registry=registry)

    def model_served(self, model: str, version: str, verdict: str) -> None:
        """A version answers from now on, or its verdict changed."""
        self._version.remove_by_labels({"model": model})
        self._version.labels(model, version).set(1)
        self._passed.labels(model).set(verdict == "passed")

    def model_withdrawn(self, model: str) -> None:
        """No version answers any more."""
        self._version.remove_by_labels({"model": model})
        self._passed.remove_by_labels({"model": model})

    def swap(self, model: str, *, succeeded: bool) -> None:
        """A version was taken or refused."""
        self._swaps.labels(model, "success" if succeeded else "failure").inc()

    def registry_failed(self) -> None:
        """The source could not be read."""
        self._unreachable.inc()
