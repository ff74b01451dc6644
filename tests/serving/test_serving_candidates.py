"""From every source: what is not whole and sound never answers a request, is explained, and is counted."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from serving.bundle.reader import read_bundle
from serving.registry.s3 import S3
from serving.registry.source import AliasSource, DirectorySource, PrefixSource, Source, VersionSource

IMAGES = "/v1/models/m/images?n=2&format=npy"
FAILURES = 'ganvas_serve_swaps_total{model="m",outcome="failure"}'

# -- what may be wrong with a candidate ---------------------------------------------------------------


def corrupt(directory: Path) -> None:
    """Bytes that are no model, under a signature that agrees with them."""
    sign(directory, "generator.onnx", b"\x08\x09")


def wrong_hash(directory: Path) -> None:
    (directory / "generator.onnx").write_bytes(b"x" * (directory / "generator.onnx").stat().st_size)


def wrong_shape(directory: Path) -> None:
    """A signature that agrees with itself and with its golden tensor, and not with what the graph gives."""
    path = directory / "signature.json"
    document = json.loads(path.read_text())
    document["sample"]["shape"] = [1, 4, 4]
    document["graphs"]["generator"]["outputs"][0]["shape"] = [-1, 1, 4, 4]
    document["graphs"]["generator"]["outputs"][1]["shape"] = [-1, 4, 4, 1]
    path.write_text(json.dumps(document))
    golden = np.load(directory / "golden.npy")
    stream = io.BytesIO()
    np.save(stream, np.ascontiguousarray(golden[:, :, :4, :4]))
    sign(directory, "golden.npy", stream.getvalue())


def not_finite(directory: Path) -> None:
    """Made so when it is written: see ``DEFECTS``."""


def sign(directory: Path, file: str, content: bytes) -> None:
    """Replace a file, and let the signature agree with it."""
    (directory / file).write_bytes(content)
    path = directory / "signature.json"
    document = json.loads(path.read_text())
    for entry in (*document["graphs"].values(), document["golden"]):
        if entry["file"] == file:
            entry["sha256"] = hashlib.sha256(content).hexdigest()
            if "size_bytes" in entry:
                entry["size_bytes"] = len(content)
    path.write_text(json.dumps(document))


DEFECTS: dict[Callable[[Path], None], tuple[dict[str, Any], str]] = {
    corrupt: ({}, "onnxruntime cannot load generator"),
    wrong_hash: ({}, "was altered"),
    wrong_shape: ({}, "as signed"),
    not_finite: ({"nan": True}, "not finite"),
}
defects = pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)

# -- where a candidate may come from ------------------------------------------------------------------


class Place:
    """A source, and how a bundle gets into it; the second time as another version."""

    def __init__(self, source: Source, put: Callable[[Path], None]) -> None:
        self.source = source
        self.put = put


def in_registry(registry: Any, source: Source) -> Place:
    def put(bundle: Path) -> None:
        registry.move(
            "m", str(int(registry.champions["m"][0].version) + 1) if "m" in registry.champions else "1", bundle
        )

    return Place(source, put)


def in_directory(path: Path) -> Place:
    def put(bundle: Path) -> None:
        path.mkdir(exist_ok=True)
        for file in sorted(bundle.iterdir(), key=lambda file: file.name == "signature.json"):
            shutil.copyfile(file, path / "incoming")
            (path / "incoming").replace(path / file.name)

    return Place(DirectorySource("m", path), put)


@pytest.fixture(params=["alias", "version", "directory", "prefix"])
def place(request: pytest.FixtureRequest, registry: Any, tmp_path: Path) -> Place:
    match request.param:
        case "alias":
            return in_registry(registry, AliasSource(registry, "m", "champion"))
        case "version":
            return in_registry(registry, VersionSource(registry, "m", "1"))
        case "directory":
            return in_directory(tmp_path / "live")
    s3 = request.getfixturevalue("s3")
    return Place(PrefixSource("m", S3(), "models", "live", download_seconds=30), lambda path: s3.upload(path, "live/"))


@pytest.fixture
def candidate(make_bundle: Any, tmp_path: Path) -> Callable[[Callable[[Path], None]], Path]:
    """A bundle of other weights with a defect."""

    def make(defect: Callable[[Path], None]) -> Path:
        properties, _ = DEFECTS[defect]
        bad = Path(shutil.copytree(make_bundle(seed=1, **properties), tmp_path / "bad"))
        defect(bad)
        return bad

    return make


# -- the laws -----------------------------------------------------------------------------------------


@defects
def test_a_bad_first_version_answers_nothing_and_is_explained(
    serving: Any, place: Place, candidate: Any, defect: Callable[[Path], None]
) -> None:
    _, words = DEFECTS[defect]
    place.put(candidate(defect))
    with serving(sources={"m": place.source}) as running:
        running.wait_until(lambda: words in running.catalog.slots["m"].problem)
        ready = running.client.get("/v2/health/ready")
        assert ready.status_code == 503
        assert words in ready.json()["error"]
        assert "is refused" in ready.json()["error"]
        answer = running.client.get(IMAGES)
        assert answer.status_code == 503
        assert words in answer.json()["error"]
        assert "ganvas-model-version" not in answer.headers
        assert running.metric(FAILURES) >= 1
        assert running.metric('ganvas_serve_swaps_total{model="m",outcome="success"}') == 0
        assert running.client.get("/v2/health/live").status_code == 200


@contextmanager
def asked_all_the_time(url: httpx.URL) -> Iterator[list[tuple[int, str, bytes]]]:
    """What a client gets that asks without a pause: status, version, picture."""
    answers: list[tuple[int, str, bytes]] = []
    enough = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=20, trust_env=False) as client:
            while not enough.is_set():
                answer = client.get(IMAGES)
                answers.append((answer.status_code, answer.headers["ganvas-model-version"], answer.content))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        enough.set()
        thread.join()


@pytest.mark.parametrize("place", ["alias", "directory", "prefix"], indirect=True)
@defects
def test_a_bad_next_version_never_answers_and_a_good_one_after_it_does(
    serving: Any, place: Place, candidate: Any, make_bundle: Any, defect: Callable[[Path], None]
) -> None:
    _, words = DEFECTS[defect]
    place.put(make_bundle())
    with serving(sources={"m": place.source}) as running:
        slot = running.catalog.slots["m"]
        running.wait_until(lambda: slot.current is not None)
        first = slot.current.version
        with asked_all_the_time(running.client.base_url) as answers:
            place.put(candidate(defect))
            running.wait_until(lambda: words in slot.problem)
            assert running.metric(FAILURES) >= 1
            assert running.client.get("/v2/health/ready").status_code == 200
            assert words in running.client.post("/v2/repository/index").json()[0]["reason"]
            count = len(answers)
            running.wait_until(lambda: len(answers) > count + 5)
            assert {version for _, version, _ in answers} == {first}
            place.put(make_bundle(seed=2))
            running.wait_until(lambda: slot.current.version != first)
            count = len(answers)
            running.wait_until(lambda: len(answers) > count + 5)
        assert slot.problem == ""
        assert {status for status, _, _ in answers} == {200}
        # Two versions in all, one after the other, each with its own picture.
        versions = [version for _, version, _ in answers]
        assert versions == sorted(versions, key=lambda version: version != first)
        assert len({(version, content) for _, version, content in answers}) == len(set(versions)) == 2


def test_a_directory_that_is_half_written_is_waited_for(serving: Any, make_bundle: Any, tmp_path: Path) -> None:
    path = tmp_path / "live"
    with serving(sources={"m": DirectorySource("m", path)}) as running:
        slot = running.catalog.slots["m"]
        running.wait_until(lambda: "no bundle at" in slot.problem)
        path.mkdir()
        shutil.copy(make_bundle() / "generator.onnx", path)
        running.wait_until(lambda: "half-written" in slot.problem)
        assert running.client.get("/v2/health/ready").status_code == 503
        assert running.metric(FAILURES) == 0, "what is not there yet has not failed"
        shutil.copytree(make_bundle(), path, dirs_exist_ok=True)
        running.wait_until(lambda: slot.current is not None)
        assert slot.current.version == read_bundle(path).signature_sha256[:12]


def test_a_link_that_is_turned_is_another_version(serving: Any, make_bundle: Any, tmp_path: Path) -> None:
    """``runs/latest`` is one."""
    link = tmp_path / "latest"
    link.symlink_to(make_bundle(), target_is_directory=True)
    with serving(sources={"m": DirectorySource("m", link)}) as running:
        slot = running.catalog.slots["m"]
        running.wait_until(lambda: slot.current is not None)
        first = slot.current.version
        (tmp_path / "next").symlink_to(make_bundle(seed=1), target_is_directory=True)
        (tmp_path / "next").replace(link)
        running.wait_until(lambda: slot.current.version != first)
        assert slot.current.version == read_bundle(make_bundle(seed=1)).signature_sha256[:12]


def test_a_version_that_was_served_before_comes_back_through_the_same_checks(
    serving: Any, registry: Any, make_bundle: Any, tmp_path: Path
) -> None:
    first = Path(shutil.copytree(make_bundle(), tmp_path / "first"))
    registry.move("m", "1", first)
    with serving(registry=registry) as running:
        slot = running.catalog.slots["m"]
        running.wait_until(lambda: slot.current is not None)
        picture = running.client.get(IMAGES).content
        registry.move("m", "2", make_bundle(seed=1))
        running.wait_until(lambda: slot.current.version == "2")
        wrong_hash(first)
        registry.move("m", "1", first)  # rolled back to what was spoilt since
        running.wait_until(lambda: "version 1 is refused" in slot.problem)
        assert running.client.get(IMAGES).headers["ganvas-model-version"] == "2"
        shutil.copy(make_bundle() / "generator.onnx", first)
        running.wait_until(lambda: slot.current.version == "1")
        assert running.client.get(IMAGES).content == picture
        assert registry.downloads >= 4


def test_a_pinned_version_stays_wherever_the_alias_goes(serving: Any, registry: Any, make_bundle: Any) -> None:
    registry.move("m", "1", make_bundle(), alias="challenger")
    registry.move("m", "2", make_bundle(seed=1))
    with serving(sources={"m": VersionSource(registry, "m", "1")}) as running:
        slot = running.catalog.slots["m"]
        running.wait_until(lambda: slot.current is not None)
        registry.move("m", "3", make_bundle(seed=2))
        del registry.challengers["m"]
        running.wait_until(lambda: "there is no version 1" in slot.problem)
        assert running.client.get(IMAGES).headers["ganvas-model-version"] == "1"
