"""Traces: only where they are wanted, with the spans of a request below one another."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tritonclient import grpc as triton

from serving.grpc.server import GrpcServer
from serving.operations.tracing import Tracing, start_tracing
from serving.predict.latents import standard_normal_latents

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(serving: Any, make_bundle: Any, exporter: InMemorySpanExporter) -> Iterator[Any]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with serving(bundles={"m": make_bundle()}) as running:
        running.app.operations.tracing = Tracing(provider)
        yield running
    running.app.operations.tracing.close()


def spans(running: Any, exporter: InMemorySpanExporter, count: int) -> dict[str, Any]:
    """By name; the last of them ends after the client has its answer."""
    running.wait_until(lambda: len(exporter.get_finished_spans()) >= count)
    found = {span.name: span for span in exporter.get_finished_spans()}
    assert len(found) == len(exporter.get_finished_spans()) == count
    return found


def is_inside(inner: Any, outer: Any) -> bool:
    slack = 1_000_000  # two clocks are compared
    return bool(outer.start_time - slack <= inner.start_time <= inner.end_time <= outer.end_time + slack)


def test_a_request_has_its_spans(traced: Any, exporter: InMemorySpanExporter) -> None:
    assert traced.client.get("/v1/models/m/images?n=1", headers=HEADERS).status_code == 200
    found = spans(traced, exporter, 4)
    request = found.pop("GET /v1/models/{model}/images")
    assert (f"{request.context.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE, PARENT)
    assert request.attributes["http.response.status_code"] == 200
    assert (request.attributes["ganvas.model"], request.attributes["ganvas.version"]) == ("m", "bundle")
    assert set(found) == {"queue", "run", "encode"}
    for span in found.values():
        assert span.parent.span_id == request.context.span_id
        assert is_inside(span, request)
    assert found["queue"].end_time <= found["run"].start_time + 1
    assert found["run"].end_time <= found["encode"].start_time + 1


def test_a_call_has_its_spans(traced: Any, exporter: InMemorySpanExporter) -> None:
    server = GrpcServer(traced.app.context, traced.app.operations, host="127.0.0.1", port=0)
    traced.call(server.start())
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        latent = triton.InferInput("latent", [2, 6], "FP32")
        latent.set_data_from_numpy(standard_normal_latents(0, 2, 6))
        client.infer("m", [latent], headers=HEADERS)
    traced.call(server.stop(1))
    found = spans(traced, exporter, 4)
    request = found.pop("/inference.GRPCInferenceService/ModelInfer")
    assert (f"{request.context.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE, PARENT)
    assert request.attributes["rpc.grpc.status_code"] == 0
    assert set(found) == {"queue", "run", "encode"}
    assert all(is_inside(span, request) for span in found.values())


@pytest.mark.parametrize("value", ["", "00-0-0-01", "nonsense", f"00-{'0' * 32}-{PARENT}-01", "\xff" * 60])
def test_a_broken_parent_begins_a_trace(traced: Any, exporter: InMemorySpanExporter, value: str) -> None:
    assert traced.client.get("/v2", headers={"traceparent": value.encode("latin-1")}).status_code == 200
    (span,) = spans(traced, exporter, 1).values()
    assert span.parent is None


def test_a_failure_of_the_server_is_marked_and_a_wrong_request_is_not(
    traced: Any, exporter: InMemorySpanExporter
) -> None:
    traced.client.get("/nothing")
    spans(traced, exporter, 1)
    traced.catalog.slots["m"].withdraw()
    traced.client.get("/v2/models/m")
    found = spans(traced, exporter, 2)
    assert found["GET unmatched"].status.is_unset
    assert not found["GET /v2/models/{model}"].status.is_ok
    assert not found["GET /v2/models/{model}"].status.is_unset


def test_nothing_is_made_where_no_address_is_set() -> None:
    assert start_tracing("1", {}) is None
    for off in ({"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}):
        assert start_tracing("1", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", **off}) is None


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert start_tracing("1", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}) is None
    assert "ganvas[tracing]" in caplog.text


def test_spans_arrive_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[ExportTraceServiceRequest] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            content = self.rfile.read(int(self.headers["content-length"]))
            received.append(ExportTraceServiceRequest.FromString(content))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            tracing = start_tracing("1.2", environment)
            assert tracing is not None
            tracing.request("x", HEADERS).end("GET /v2", {"http.route": "/v2"}, failed=False)
            tracing.close()
        finally:
            server.shutdown()
            thread.join()
    (batch,) = received
    (resource,) = batch.resource_spans
    attributes = {item.key: item.value.string_value for item in resource.resource.attributes}
    assert (attributes["service.name"], attributes["service.version"]) == ("ganvas-serve", "1.2")
    (span,) = resource.scope_spans[0].spans
    assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("GET /v2", TRACE, PARENT)
