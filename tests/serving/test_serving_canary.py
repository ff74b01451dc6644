"""A canary answers its share and nothing else; what happens to it happens to nobody else."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from serving.bundle.reader import read_bundle
from serving.catalog import Catalog, Served
from serving.errors import RegistryError
from serving.predict.model import load_model
from serving.predict.predictor import Predictor
from serving.split import Split
from serving.version_metrics import MOST_VERSIONS, VersionMetrics

IMAGES = "/v1/models/m/images?n=1&format=npy"
INFER = json.dumps({"inputs": [{"name": "latent", "datatype": "FP32", "shape": [1, 6], "data": [0.5] * 6}]})


def answered(running: Any, count: int, **headers: str) -> Counter[str]:
    """How many requests each version answered."""
    get = running.client.get
    return Counter(get(IMAGES, headers=headers).headers["ganvas-model-version"] for _ in range(count))


def both(running: Any) -> None:
    slot = running.catalog.slots["m"]
    running.wait_until(lambda: len(slot.served) == 2)


# -- the rule -----------------------------------------------------------------------------------------


@given(percent=st.integers(0, 100), skipped=st.integers(0, 250))
def test_of_any_hundred_requests_the_canary_has_exactly_its_share(percent: int, skipped: int) -> None:
    split = Split(percent / 100)
    for _ in range(skipped):
        split.takes()
    assert sum(split.takes() for _ in range(100)) == percent


@given(share=st.decimals(0, 1, places=3), count=st.integers(1, 2000))
def test_the_share_is_never_more_than_one_request_behind(share: Any, count: int) -> None:
    split = Split(float(share))
    taken = sum(split.takes() for _ in range(count))
    assert taken == Fraction(share) * count // 1


@given(text=st.text(min_size=1), smaller=st.floats(0, 1), larger=st.floats(0, 1))
def test_a_sticky_request_stays_on_its_side_and_a_larger_share_keeps_it(
    text: str, smaller: float, larger: float
) -> None:
    smaller, larger = sorted((smaller, larger))
    assert Split(smaller).takes(text) == Split(smaller).takes(text)
    assert Split(larger).takes(text) or not Split(smaller).takes(text)
    assert Split(1.0).takes(text)
    assert not Split(0.0).takes(text)


def test_sticky_requests_are_shared_out_as_well_and_leave_the_count_alone() -> None:
    split = Split(0.3)
    taken = sum(split.takes(f"client {number}") for number in range(10_000))
    assert abs(taken - 3000) < 5 * (10_000 * 0.3 * 0.7) ** 0.5
    assert sum(split.takes() for _ in range(10)) == 3


# -- under requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.07, 0.5])
def test_the_share_is_exact_over_100_requests_and_its_metrics_stand_apart(
    serving: Any, registry: Any, make_bundle: Any, share: float
) -> None:
    registry.move("m", "1", make_bundle())
    registry.move("m", "2", make_bundle(seed=1), verdict="failed", alias="challenger")
    with serving(registry=registry, canary_share=share) as running:
        both(running)
        canaries = round(100 * share)
        assert answered(running, 100) == {"1": 100 - canaries, "2": canaries}
        for version, role, count in [("1", "main", 100 - canaries), ("2", "canary", canaries)]:
            labels = f'model="m",role="{role}",{{}}version="{version}"'
            requests = labels.format('status="200",')
            assert running.metric(f"ganvas_serve_version_requests_total{{{requests}}}") == count
            seconds = labels.format("")
            assert running.metric(f"ganvas_serve_version_request_seconds_count{{{seconds}}}") == count
        assert running.metric('ganvas_serve_canary_version_info{model="m",version="2"}') == 1
        assert running.metric('ganvas_serve_model_version_info{model="m",version="1"}') == 1
        assert running.metric('ganvas_serve_model_version_info{model="m",version="2"}') == 0
        assert running.metric('ganvas_serve_canary_swaps_total{model="m",outcome="success"}') == 1
        assert running.metric('ganvas_serve_swaps_total{model="m",outcome="success"}') == 1
        assert running.metric('ganvas_serve_canary_verdict_passed{model="m"}') == 0
        assert running.metric('ganvas_serve_model_verdict_passed{model="m"}') == 1


def test_a_request_with_a_body_has_one_choice(serving: Any, registry: Any, make_bundle: Any) -> None:
    """It is looked up before its body has come and after: that is one request."""
    registry.move("m", "1", make_bundle())
    registry.move("m", "2", make_bundle(seed=1), alias="challenger")
    with serving(registry=registry, canary_share=0.25) as running:
        both(running)
        found = Counter[str]()
        outputs = {}
        for _ in range(40):
            answer = running.client.post("/v2/models/m/infer", content=INFER)
            version = answer.json()["model_version"]
            assert answer.headers["ganvas-model-version"] == version, "the header names what computed"
            found[version] += 1
            assert outputs.setdefault(version, answer.json()["outputs"]) == answer.json()["outputs"]
            running.client.get("/v2/models/m")  # questions about the model count for nothing
            running.client.get("/v2/models/m/ready")
        assert found == {"1": 30, "2": 10}
        assert outputs["1"] != outputs["2"]


def test_a_named_version_is_answered_by_that_one(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle())
    registry.move("m", "2", make_bundle(conditional=True), alias="challenger")
    with serving(registry=registry, canary_share=0.5) as running:
        both(running)
        for version, inputs in [("1", ["latent"]), ("2", ["latent", "label"])]:
            for _ in range(3):
                answer = running.client.get(f"/v2/models/m/versions/{version}")
                assert answer.headers["ganvas-model-version"] == version
                assert [tensor["name"] for tensor in answer.json()["inputs"]] == inputs
        answer = running.client.get("/v2/models/m")
        assert answer.headers["ganvas-model-version"] == "1"
        assert answer.json()["versions"] == ["1", "2"]
        answer = running.client.get("/v2/models/m/versions/3")
        assert (answer.status_code, "1 and 2" in answer.json()["error"]) == (404, True)
        index = running.client.post("/v2/repository/index").json()
        assert [(entry["version"], entry["state"]) for entry in index] == [("1", "READY"), ("2", "READY")]


def test_a_sticky_client_has_one_version(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle())
    registry.move("m", "2", make_bundle(seed=1), alias="challenger")
    with serving(registry=registry, canary_share=0.5) as running:
        both(running)
        split = Split(0.5)
        for text in ("a", "b", "c", "d"):
            assert answered(running, 4, **{"ganvas-sticky": text}) == {"2" if split.takes(text) else "1": 4}


def test_the_index_calls_ready_what_answers(make_bundle: Any) -> None:
    catalog = Catalog(["m"], canary_share=0.5)
    slot = catalog.slots["m"]
    predictor = Predictor(load_model(read_bundle(make_bundle())), instances=1, max_batch=1, max_queue=1)
    slot.canary.swap(Served("m", "2", predictor))
    waiting = ("m", "", "UNAVAILABLE", "no version was looked for yet")
    assert list(catalog.index(ready_only=False)) == [waiting], "a canary answers nothing by itself"
    assert list(catalog.index(ready_only=True)) == []
    slot.swap(Served("m", "1", predictor))
    slot.canary.problem = "3 is refused"
    both = [("m", "1", "READY", ""), ("m", "2", "READY", "3 is refused")]
    assert list(catalog.index(ready_only=False)) == list(catalog.index(ready_only=True)) == both
    slot.swap(Served("m", "2", predictor))
    assert list(catalog.index(ready_only=True)) == [("m", "2", "READY", "")], "the canary is the model's own version"
    predictor.close()


# -- coming and going ---------------------------------------------------------------------------------


def nan(make_bundle: Any, tmp_path: Path) -> Path:
    return Path(make_bundle(seed=1, nan=True))


def altered(make_bundle: Any, tmp_path: Path) -> Path:
    bad = Path(shutil.copytree(make_bundle(seed=1), tmp_path / "bad"))
    (bad / "generator.onnx").write_bytes(b"no")
    return bad


@pytest.mark.parametrize(("defect", "words"), [(nan, "not finite"), (altered, "altered")])
def test_a_bad_canary_changes_nothing_for_the_others(
    serving: Any, registry: Any, make_bundle: Any, tmp_path: Path, defect: Any, words: str
) -> None:
    registry.move("m", "1", make_bundle())
    registry.move("m", "2", defect(make_bundle, tmp_path), alias="challenger")
    with serving(registry=registry, canary_share=0.5) as running:
        canary = running.catalog.slots["m"].canary
        running.wait_until(lambda: words in canary.problem)
        assert answered(running, 20) == {"1": 20}
        assert running.catalog.slots["m"].problem == ""
        assert running.client.get("/v2/health/ready").json() == {"ready": True}
        assert running.metric('ganvas_serve_canary_swaps_total{model="m",outcome="failure"}') >= 1
        assert running.metric('ganvas_serve_swaps_total{model="m",outcome="failure"}') == 0
        index = running.client.post("/v2/repository/index").json()
        assert "canary: version 2 is refused" in index[1]["reason"]
        assert len(running.client.post("/v2/repository/index", content=b'{"ready": true}').json()) == 1


def test_a_canary_comes_is_promoted_and_leaves(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle())
    with serving(registry=registry, canary_share=0.5) as running:
        slot = running.catalog.slots["m"]
        running.wait_until(lambda: slot.current is not None)
        assert answered(running, 10) == {"1": 10}
        registry.move("m", "2", make_bundle(seed=1), alias="challenger")
        both(running)
        assert answered(running, 10) == {"1": 5, "2": 5}
        canary, closed = slot.canary.current, []
        canary.predictor.close = lambda close=canary.predictor.close: closed.append(close())
        registry.move("m", "2", make_bundle(seed=1))  # as promotion does, first one alias and then the other
        running.wait_until(lambda: slot.current.version == "2" and slot.canary.current is None)
        running.wait_until(lambda: len(closed) == 1)
        assert answered(running, 10) == {"2": 10}
        assert slot.current.role == "main"
        assert "ganvas_serve_canary_version_info{" not in running.client.get("/metrics").text
        registry.move("m", "3", make_bundle(seed=2), alias="challenger")
        both(running)
        assert answered(running, 10) == {"2": 5, "3": 5}
        del registry.challengers["m"]
        running.wait_until(lambda: slot.canary.current is None)
        assert answered(running, 10) == {"2": 10}
        assert slot.canary.problem == ""


def test_a_version_that_is_the_champion_is_no_canary(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle())
    registry.move("m", "1", make_bundle(), alias="challenger")
    with serving(registry=registry, canary_share=1.0) as running:
        slot = running.catalog.slots["m"]
        running.wait_until(lambda: slot.current is not None)
        assert answered(running, 10) == {"1": 10}
        assert registry.downloads == 1, "it is not even fetched"


def test_a_canary_needs_a_champion(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "2", make_bundle(seed=1), alias="challenger")
    with serving(registry=registry, canary_share=1.0) as running:
        slot = running.catalog.slots["m"]
        running.wait_until(lambda: "no version has the alias" in slot.problem)
        assert running.client.get(IMAGES).status_code == 503
        assert running.client.get("/v2/health/ready").status_code == 503
        registry.move("m", "1", make_bundle())
        both(running)
        assert answered(running, 4) == {"2": 4}


def test_a_required_verdict_is_required_of_a_canary(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle())
    registry.move("m", "2", make_bundle(seed=1), verdict="failed", alias="challenger")
    with serving(registry=registry, canary_share=1.0, require_verdict=True) as running:
        canary = running.catalog.slots["m"].canary
        running.wait_until(lambda: "not passed" in canary.problem)
        assert answered(running, 4) == {"1": 4}
        registry.move("m", "2", make_bundle(seed=1), alias="challenger")
        both(running)
        assert answered(running, 4) == {"2": 4}
        registry.move("m", "2", make_bundle(seed=1), verdict="failed", alias="challenger")
        running.wait_until(lambda: canary.current is None)
        assert answered(running, 4) == {"1": 4}


def test_a_registry_that_is_away_leaves_both_where_they_are(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle())
    registry.move("m", "2", make_bundle(seed=1), alias="challenger")
    with serving(registry=registry, canary_share=0.5) as running:
        both(running)
        registry.error = RegistryError("registry cannot be reached: refused.")
        running.wait_until(lambda: "cannot be reached" in running.catalog.slots["m"].canary.problem)
        assert answered(running, 10) == {"1": 5, "2": 5}
        assert running.metric("ganvas_serve_canary_registry_failures_total") >= 1


def test_the_number_of_series_is_bounded_however_many_versions_come() -> None:
    """The champion answers all the time and is not forgotten for the sake of its canaries."""

    def versions(known: CollectorRegistry) -> set[str]:
        lines = generate_latest(known).decode().splitlines()
        return {line.split('version="')[1].split('"')[0] for line in lines if 'version="' in line}

    known = CollectorRegistry()
    metrics = VersionMetrics(known, (1.0,))
    for number in range(1, 50):
        for version in ("champion", str(number)):
            metrics.observe(Served("m", version, None), 200, 0.5)  # type: ignore[arg-type]
        assert len(versions(known)) <= MOST_VERSIONS
    assert versions(known) == {"champion", "47", "48", "49"}
    assert (
        known.get_sample_value(
            "ganvas_serve_version_requests_total",
            {"model": "m", "version": "champion", "role": "main", "status": "200"},
        )
        == 49
    )
