"""Traces of requests by OpenTelemetry, where an address to send them to is set; else nothing is imported.

A request's span has up to three below it: ``queue`` and ``run`` for each part that ran, and ``encode``, from
the last run to the first byte of the answer.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

logger = logging.getLogger(__name__)

_ADDRESSES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class RequestTrace:
    """The span of one request, and what is measured on its way; all times are of ``time.perf_counter``."""

    def __init__(self, tracer: Any, name: str, carrier: Mapping[str, str]) -> None:
        from opentelemetry.trace import SpanKind, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract(carrier)
        self._tracer = tracer
        self._span = tracer.start_span(name, context=parent, kind=SpanKind.SERVER)
        self._context = set_span_in_context(self._span, parent)
        self._epoch_ns = time.time_ns() - time.perf_counter_ns()
        self._ran_at: float | None = None

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def answered(self, queued_at: float, started_at: float, ended_at: float) -> None:
        """A part of the request waited, and ran."""
        self._child("queue", queued_at, started_at)
        self._child("run", started_at, ended_at)
        self._ran_at = ended_at

    def encoded(self) -> None:
        """The answer begins."""
        if self._ran_at is not None:
            self._child("encode", self._ran_at, time.perf_counter())
            self._ran_at = None

    def end(self, name: str, attributes: Mapping[str, str | int], *, failed: bool) -> None:
        """The request was answered; ``failed``: through the server."""
        from opentelemetry.trace import StatusCode

        self._span.update_name(name)
        self._span.set_attributes(dict(attributes))
        if failed:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()

    def _child(self, name: str, start: float, end: float) -> None:
        span = self._tracer.start_span(name, context=self._context, start_time=self._nanoseconds(start))
        span.end(self._nanoseconds(end))

    def _nanoseconds(self, moment: float) -> int:
        return self._epoch_ns + int(moment * 1e9)


CURRENT: ContextVar[RequestTrace | None] = ContextVar("ganvas_trace", default=None)
"""Of the request that the current task works for."""


class Tracing:
    """Makes spans through a provider of the SDK."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("ganvas.serving")

    def request(self, name: str, carrier: Mapping[str, str]) -> RequestTrace:
        """The span of a request that came with a W3C ``traceparent`` (and ``tracestate``), or without."""
        trace = RequestTrace(self._tracer, name, carrier)
        CURRENT.set(trace)
        return trace

    def close(self) -> None:
        """Send what is left; it may take seconds."""
        self._provider.shutdown()


def start_tracing(version: str, environment: Mapping[str, str] = os.environ) -> Tracing | None:
    """Tracing as OpenTelemetry's environment variables say; none if they name no address to send to."""
    if not any(environment.get(name) for name in _ADDRESSES):
        return None
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        logger.warning("there will be no traces: %s; install ganvas[tracing]", error)
        return None
    attributes = {"service.version": version}
    # What is given here would win over the environment.
    if not environment.get("OTEL_SERVICE_NAME") and "service.name" not in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    ):
        attributes["service.name"] = "ganvas-serve"
    resource = Resource.create(attributes)
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)
