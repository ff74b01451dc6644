"""What Prometheus is told.

Everything that a request touches is a plain number of the event loop's thread; it becomes a metric when it is
scraped. No label is looked up on the way of a request, and no label holds what a client sent.
"""

from __future__ import annotations

import time
from collections import Counter as Counts
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from serving.tally import Tally
from serving.version_metrics import Outcomes, VersionMetrics

if TYPE_CHECKING:
    from serving.catalog import Catalog

_PREFIX = "ganvas_serve_"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


class Traffic:
    """One transport.

    Attributes:
        in_flight: requests taken and not yet answered.
        received_bytes: of requests; over HTTP with their heads.
        sent_bytes: of answers, without their heads.
        cancelled: requests whose client went away, or gave up, before the answer.
    """

    __slots__ = ("cancelled", "in_flight", "received_bytes", "sent_bytes")

    def __init__(self) -> None:
        self.in_flight = self.received_bytes = self.sent_bytes = self.cancelled = 0


class Runs:
    """The runs of one model."""

    __slots__ = ("rows", "seconds")

    def __init__(self) -> None:
        self.rows = Tally(_ROWS)
        self.seconds = Tally(_SECONDS)

    def ran(self, rows: int, seconds: float) -> None:
        """Count one run of a graph."""
        self.rows.observe(rows)
        self.seconds.observe(seconds)


class Metrics:
    """The server's metrics, in a registry of their own so that two servers fit in one process.

    Attributes:
        http, grpc: what goes through each transport.
        versions: answers of each version.
        models, canaries: what their followers do.
    """

    def __init__(self) -> None:
        self.http, self.grpc = Traffic(), Traffic()
        self._registry = CollectorRegistry()
        self._answers: dict[tuple[str, int | str], Tally] = {}
        self._refused: Counts[str] = Counts()
        self._runs: dict[str, Runs] = {}
        self._catalog: Catalog | None = None
        Gauge(
            _PREFIX + "start_time_seconds", "when the server started, in seconds since 1970", registry=self._registry
        ).set(time.time())
        self._registry.register(_Numbers(self))
        ProcessCollector(registry=self._registry)
        self.versions = VersionMetrics(self._registry, _SECONDS)
        self.models = Outcomes(
            self._registry,
            "model",
            version="the version that answers",
            verdict_on="the served version",
            swaps="attempts to take a version",
            failures="looks at a model's source that failed",
        )
        self.canaries = Outcomes(
            self._registry,
            "canary",
            version="the canary's version that answers",
            verdict_on="the canary",
            swaps="attempts to take a canary",
            failures="looks for a canary that failed",
        )

    # -- on the way of a request ----------------------------------------------------------------------

    def observe(self, route: str, status: int | str, seconds: float) -> None:
        """Count one answer: by a status of HTTP (a number), or of gRPC (a name)."""
        key = (route, status)
        tally = self._answers.get(key)
        if tally is None:
            tally = self._answers[key] = Tally(_SECONDS)
        tally.observe(seconds)

    def refused(self, reason: str) -> None:
        """A request was refused: ``RequestError.reason``."""
        self._refused[reason] += 1

    def runs(self, model: str) -> Runs:
        """The runs of a model, of all its versions."""
        return self._runs.setdefault(model, Runs())

    # -- what happens to models -----------------------------------------------------------------------

    def watch(self, catalog: Catalog) -> None:
        """Tell of these models' queues and providers, too, at each scrape."""
        self._catalog = catalog

    # -- when it is scraped ---------------------------------------------------------------------------

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)

    def families(self) -> list[Metric]:
        """All metrics that are this server's own, by name; the others are the process's."""
        own = [family for family in self._registry.collect() if family.name.startswith(_PREFIX)]
        return sorted(own, key=lambda family: family.name)

    def numbers(self) -> Iterator[Metric]:
        """The plain numbers as metrics."""
        yield from self._answer_families()
        yield from self._traffic_families()
        refused = CounterMetricFamily(_PREFIX + "refused", "requests refused, by reason", labels=["reason"])
        for reason, count in self._refused.items():
            refused.add_metric([reason], count)
        yield refused
        yield from self._run_families()
        yield from self._model_families()

    def _answer_families(self) -> Iterator[Metric]:
        labels = ["route", "status"]
        requests = CounterMetricFamily(_PREFIX + "requests", "answers", labels=labels)
        seconds = HistogramMetricFamily(_PREFIX + "request_seconds", "time to the answer", labels=labels)
        answers = CounterMetricFamily(_PREFIX + "answers", "answers, by transport", labels=["transport"])
        by_transport = {"http": 0, "grpc": 0}
        for (route, status), tally in self._answers.items():
            values = [route, str(status)]
            requests.add_metric(values, tally.count)
            seconds.add_metric(values, tally.buckets, tally.sum)
            by_transport["http" if isinstance(status, int) else "grpc"] += tally.count
        for transport, count in by_transport.items():
            answers.add_metric([transport], count)
        return iter((requests, seconds, answers))

    def _traffic_families(self) -> Iterator[Metric]:
        labels = ["transport"]
        families: tuple[GaugeMetricFamily | CounterMetricFamily, ...] = (
            GaugeMetricFamily(_PREFIX + "in_flight", "requests taken and not yet answered", labels=labels),
            CounterMetricFamily(_PREFIX + "received_bytes", "bytes of requests; HTTP with heads", labels=labels),
            CounterMetricFamily(_PREFIX + "sent_bytes", "bytes of answers, without heads", labels=labels),
            CounterMetricFamily(_PREFIX + "cancelled", "requests whose client went away or gave up", labels=labels),
        )
        for transport, traffic in (("http", self.http), ("grpc", self.grpc)):
            counts = (traffic.in_flight, traffic.received_bytes, traffic.sent_bytes, traffic.cancelled)
            for family, count in zip(families, counts, strict=True):
                family.add_metric([transport], count)
        return iter(families)

    def _run_families(self) -> Iterator[Metric]:
        rows = HistogramMetricFamily(_PREFIX + "batch_rows", "rows in one run", labels=["model"])
        seconds = HistogramMetricFamily(_PREFIX + "run_seconds", "time of one run", labels=["model"])
        for model, runs in self._runs.items():
            rows.add_metric([model], runs.rows.buckets, runs.rows.sum)
            seconds.add_metric([model], runs.seconds.buckets, runs.seconds.sum)
        return iter((rows, seconds))

    def _model_families(self) -> Iterator[Metric]:
        queue = GaugeMetricFamily(_PREFIX + "queue_runs", "runs waiting for an instance", labels=["model"])
        rows = GaugeMetricFamily(_PREFIX + "queue_rows", "rows in the runs that wait", labels=["model"])
        provider = GaugeMetricFamily(
            _PREFIX + "provider_info", "onnxruntime's provider that runs the model", labels=["model", "provider"]
        )
        for slot in self._catalog.slots.values() if self._catalog else ():
            predictors = [place.current.predictor for place in (slot, slot.canary) if place.current]
            if predictors:
                queue.add_metric([slot.name], sum(predictor.waiting[0] for predictor in predictors))
                rows.add_metric([slot.name], sum(predictor.waiting[1] for predictor in predictors))
            for name in {predictor.provider for predictor in predictors}:
                provider.add_metric([slot.name, name], 1)
        return iter((queue, rows, provider))


class _Numbers(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics.numbers()
