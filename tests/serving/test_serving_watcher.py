"""An alias moves: the next version is taken when it is good, and the one before stays when it is not."""

from __future__ import annotations

import io
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving.errors import RegistryError

IMAGES = "/v1/models/m/images?n=2&format=npy"


def version(running: Any) -> str | None:
    current = running.catalog.slots["m"].current
    return current.version if current else None


def test_it_starts_without_a_champion_and_picks_it_up(serving: Any, registry: Any, make_bundle: Any) -> None:
    with serving(registry=registry) as running:
        get = running.client.get
        running.wait_until(lambda: "champion" in running.catalog.slots["m"].problem)
        assert get("/v2/health/live").json() == {"live": True}
        answer = get("/v2/health/ready")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert "champion" in answer.json()["error"]
        for path in ("/v2/models/m", "/v1/models/m/images"):
            answer = get(path)
            assert answer.status_code == 503
            assert "no version has the alias" in answer.json()["error"]
        assert get("/v2/models/m/ready").status_code == 503
        assert running.client.post("/v2/models/m/infer", content=b"{}").status_code == 503
        index = running.client.post("/v2/repository/index").json()
        assert (index[0]["state"], index[0]["name"]) == ("UNAVAILABLE", "m")
        assert running.client.post("/v2/repository/index", content=b'{"ready": true}').json() == []
        assert "no version has the alias" in get("/").text

        registry.move("m", "1", make_bundle())
        running.wait_until(lambda: version(running) == "1")
        assert get("/v2/health/ready").json() == {"ready": True}
        assert get(IMAGES).headers["ganvas-model-version"] == "1"
        assert get(IMAGES).headers["ganvas-model-verdict"] == "passed"


def test_a_swap_changes_version_and_pictures_together(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle())
    with serving(registry=registry) as running:
        running.wait_until(lambda: version(running) == "1")
        first = running.client.get(IMAGES)
        old = running.catalog.slots["m"].current
        with old.lease():
            registry.move("m", "2", make_bundle(seed=1), verdict="failed")
            running.wait_until(lambda: version(running) == "2")
            # The one before still answers who holds it.
            assert running.call(old.predictor.sample(0, 1)).shape == (1, 8, 8, 1)
        second = running.client.get(IMAGES)
        assert second.headers["ganvas-model-version"] == "2"
        assert second.headers["ganvas-model-verdict"] == "failed"
        assert "failed the gate" in running.client.get("/").text
        assert not np.array_equal(np.load(io.BytesIO(first.content)), np.load(io.BytesIO(second.content)))
        assert running.client.get("/v2/models/m/versions/1").status_code == 404
        assert running.metric('ganvas_serve_model_version_info{model="m",version="2"}') == 1
        assert 'version_info{model="m",version="1"}' not in running.client.get("/metrics").text
        assert running.metric('ganvas_serve_swaps_total{model="m",outcome="success"}') == 2

        registry.move("m", "1", make_bundle())  # back again: the alias decides, not the number
        running.wait_until(lambda: version(running) == "1")
        assert running.client.get(IMAGES).content == first.content


def alter(directory: Path) -> None:
    (directory / "generator.onnx").write_bytes(b"not the same")


def halve(directory: Path) -> None:
    (directory / "signature.json").unlink()


@pytest.mark.parametrize(
    ("properties", "defect", "words"),
    [({}, alter, "altered"), ({}, halve, "half-written"), ({"nan": True}, lambda _: None, "not finite")],
    ids=["altered", "half-written", "not finite"],
)
def test_a_bad_candidate_is_refused_and_the_old_version_stays(
    serving: Any, registry: Any, make_bundle: Any, tmp_path: Path, properties: Any, defect: Any, words: str
) -> None:
    bad = Path(shutil.copytree(make_bundle(seed=1, **properties), tmp_path / "bad"))
    defect(bad)
    registry.move("m", "1", make_bundle())
    with serving(registry=registry) as running:
        running.wait_until(lambda: version(running) == "1")
        before = running.client.get(IMAGES).content
        registry.move("m", "2", bad)
        running.wait_until(lambda: words in running.catalog.slots["m"].problem)
        assert running.metric('ganvas_serve_swaps_total{model="m",outcome="failure"}') >= 1
        assert "version 2 is refused" in running.client.get("/").text
        assert running.client.get("/v2/health/ready").status_code == 200
        answer = running.client.get(IMAGES)
        assert (answer.headers["ganvas-model-version"], answer.content) == ("1", before)

        registry.move("m", "3", make_bundle(seed=2))  # a good one after it is taken at once
        running.wait_until(lambda: version(running) == "3")
        assert running.catalog.slots["m"].problem == ""


def test_a_registry_that_is_away_changes_nothing(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle())
    with serving(registry=registry) as running:
        running.wait_until(lambda: version(running) == "1")
        registry.error = RegistryError("registry cannot be reached: refused.")
        running.wait_until(lambda: "cannot be reached" in running.catalog.slots["m"].problem)
        assert running.client.get(IMAGES).status_code == 200
        assert running.metric("ganvas_serve_registry_failures_total") >= 1
        registry.error = ValueError("something nobody thought of")
        running.wait_until(lambda: "nobody thought of" in running.catalog.slots["m"].problem)
        registry.error = None
        running.wait_until(lambda: not running.catalog.slots["m"].problem)
        assert registry.downloads == 1


def test_a_required_verdict_is_waited_for(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle(), verdict="failed")
    with serving(registry=registry, require_verdict=True) as running:
        running.wait_until(lambda: "not passed" in running.catalog.slots["m"].problem)
        assert version(running) is None
        assert registry.downloads == 0
        registry.move("m", "1", make_bundle(), verdict="passed")
        running.wait_until(lambda: version(running) == "1")


def test_a_verdict_that_changes_is_shown_without_a_reload(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle(), verdict="missing")
    with serving(registry=registry) as running:
        running.wait_until(lambda: version(running) == "1")
        assert running.client.get(IMAGES).headers["ganvas-model-verdict"] == "missing"
        registry.move("m", "1", make_bundle(), verdict="passed")
        running.wait_until(lambda: running.catalog.slots["m"].current.verdict == "passed")
        assert running.client.get(IMAGES).headers["ganvas-model-verdict"] == "passed"
        assert running.metric('ganvas_serve_model_verdict_passed{model="m"}') == 1
        assert registry.downloads == 1


def test_a_verdict_that_falls_withdraws_the_version_where_one_is_required(
    serving: Any, registry: Any, make_bundle: Any
) -> None:
    """What is served is the same with and without a restart."""
    registry.move("m", "1", make_bundle())
    with serving(registry=registry, require_verdict=True) as running:
        running.wait_until(lambda: version(running) == "1")
        old, closed = running.catalog.slots["m"].current, []
        old.predictor.close = lambda: closed.append(1)
        registry.move("m", "1", make_bundle(), verdict="failed")
        running.wait_until(lambda: version(running) is None)
        running.wait_until(lambda: closed == [1])
        answer = running.client.get(IMAGES)
        assert answer.status_code == 503
        assert "not passed" in answer.json()["error"]
        assert running.client.get("/v2/health/ready").status_code == 503
        assert 'version_info{model="m",version="1"}' not in running.client.get("/metrics").text
        registry.move("m", "1", make_bundle(), verdict="passed")
        running.wait_until(lambda: version(running) == "1")
        assert running.client.get(IMAGES).status_code == 200

        registry.move("m", "2", make_bundle(seed=1), verdict="missing")  # another one: the alias came to it unproven
        running.wait_until(lambda: "version 2 is refused" in running.catalog.slots["m"].problem)
        assert running.client.get(IMAGES).headers["ganvas-model-version"] == "1"


def test_a_slow_download_holds_up_no_other_model_and_no_end(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.slow["m"] = threading.Event()
    for name in ("m", "other"):
        registry.move(name, "1", make_bundle())
    with serving(registry=registry, models=("m", "other")) as running:
        other = running.catalog.slots["other"]
        running.wait_until(lambda: other.current is not None)
        registry.move("other", "2", make_bundle(seed=1))
        running.wait_until(lambda: other.current.version == "2")
        assert version(running) is None
    assert registry.closed, "what was under way was told to end"
