"""Metrics: what is counted, with which labels, and that a client adds no series."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics import Metrics
from serving.tally import Tally
from tests.serving.metrics_table import PAGE, used_metrics, with_table


def test_the_page_names_every_metric() -> None:
    text = PAGE.read_text()
    assert with_table(text) == text, "write it again: python -m tests.serving.metrics_table"
    assert all(family.samples for family in used_metrics().families())
    assert all(family.documentation for family in used_metrics().families())


def test_the_exposition_is_one() -> None:
    found = list(text_string_to_metric_families(used_metrics().exposition().decode()))
    names = [family.name for family in found]
    assert len(set(names)) == len(names)
    assert "process_open_fds" in names or "process_start_time_seconds" not in names


@given(st.lists(st.floats(0, 20)))
def test_a_tally_counts_what_is_at_most_each_bound(values: list[float]) -> None:
    bounds = (0.5, 1.0, 10.0)
    tally = Tally(bounds)
    for value in values:
        tally.observe(value)
    expected = [float(sum(value <= bound for value in values)) for bound in (*bounds, math.inf)]
    assert [count for _, count in tally.buckets] == expected
    assert [bound for bound, _ in tally.buckets] == ["0.5", "1.0", "10.0", "+Inf"]
    assert tally.count == len(values)
    assert math.isclose(tally.sum, sum(values), abs_tol=1e-9)


def test_transports_are_counted_apart() -> None:
    metrics = Metrics()
    metrics.observe("/v2", 200, 0.1)
    metrics.observe("/v2", 404, 0.1)
    metrics.observe("/S/M", "OK", 0.1)
    text = metrics.exposition().decode()
    assert 'ganvas_serve_answers_total{transport="http"} 2.0' in text
    assert 'ganvas_serve_answers_total{transport="grpc"} 1.0' in text


def series(running: Any) -> set[str]:
    text = running.client.get("/metrics").text
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def test_a_client_adds_no_series(serving: Any, make_bundle: Any) -> None:
    with serving(bundles={"m": make_bundle()}) as running:

        def ask(number: int) -> None:
            running.client.get(f"/nothing/{number}", headers={"x-request-id": f"i{number}"})
            running.client.get(f"/v2/models/x{number}")
            running.client.get(f"/v1/models/m/images?n=1&seed={number}")
            running.client.request(f"M{number}", "/v2")
            running.client.post("/v2/models/m/infer", content=f"{number}")

        series(running)  # the answer to this one is a series, too
        ask(0)
        before = series(running)
        for number in range(1, 20):
            ask(number)
        assert series(running) == before


def test_runs_and_queues_are_told_for_each_model(serving: Any, make_bundle: Any) -> None:
    with serving(bundles={"m": make_bundle(), "v": make_bundle(kind="vector")}) as running:
        running.client.get("/v1/models/m/images?n=20")
        assert running.metric('ganvas_serve_batch_rows_sum{model="m"}') == 20
        runs = running.metric('ganvas_serve_batch_rows_count{model="m"}')
        assert 1 <= runs <= 20
        assert running.metric('ganvas_serve_run_seconds_count{model="m"}') == runs
        assert running.metric('ganvas_serve_run_seconds_sum{model="m"}') > 0
        assert running.metric('ganvas_serve_batch_rows_count{model="v"}') == 0
        assert running.metric('ganvas_serve_provider_info{model="v",provider="CPUExecutionProvider"}') == 1
        assert running.metric('ganvas_serve_queue_runs{model="m"}') == 0


def test_a_version_that_follows_is_observed_too(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle())
    with serving(registry=registry) as running:
        for version in ("1", "2"):
            registry.move("m", version, make_bundle())
            running.wait_until(
                lambda version=version: getattr(running.catalog.slots["m"].current, "version", "") == version
            )
            running.client.get("/v1/models/m/images?n=3")
            assert running.metric('ganvas_serve_batch_rows_sum{model="m"}') == 3 * int(version)


def test_bytes_and_refusals_are_counted(serving: Any, make_bundle: Any) -> None:
    with serving(bundles={"m": make_bundle()}, max_body_bytes=5000) as running:
        received = 'ganvas_serve_received_bytes_total{transport="http"}'
        before = running.metric(received)
        assert running.client.post("/v2/models/m/infer", content=b" " * 4000).status_code == 400
        assert running.client.post("/v2/models/m/infer", content=b" " * 6000).status_code == 413
        assert running.client.get("/v2/models/x").status_code == 404
        assert running.metric(received) - before >= 4000
        content = running.client.get("/").content
        assert running.metric('ganvas_serve_sent_bytes_total{transport="http"}') >= len(content)
        for reason in ("malformed", "body_too_large", "unknown_model"):
            assert running.metric(f'ganvas_serve_refused_total{{reason="{reason}"}}') == 1
        assert running.metric('ganvas_serve_in_flight{transport="http"}') == 1, "the one that asks"
