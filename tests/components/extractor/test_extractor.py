"""The judge: a feature space that says how good it is itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from components.artifacts import sha256_of_file
from components.extractor.clusters import cluster_labels
from components.extractor.core import fit_extractor
from components.extractor.document import EXTRACTOR_GRAPH_NAME
from components.extractor.reader import read_extractor
from components.extractor.settings import ExtractorSettings
from components.onnx_graphs.sessions import open_session, run_in_batches
from components.prepare.core import prepare
from components.prepare.dataset import read_manifest, read_split
from components.prepare.settings import DataSettings
from components.recipe import Recipe
from models.errors import ArtifactError

ExtractorOf = Callable[[Path], Path]


def test_the_accuracy_is_that_of_the_test_split(extractor_of: ExtractorOf, digits: Path) -> None:
    extractor = read_extractor(extractor_of(digits))
    samples, labels = read_split(digits, read_manifest(digits), "test")
    session = open_session(extractor_of(digits) / EXTRACTOR_GRAPH_NAME)
    features, logits = run_in_batches(session, samples.transpose(0, 2, 3, 1), ["features", "logits"])
    assert extractor.held_out_accuracy == float((logits.argmax(axis=1) == labels).mean())
    assert extractor.held_out_accuracy > 0.5  # five times better than guessing, after one pass of a tiny network
    assert features.shape == (len(samples), extractor.feature_width)
    assert logits.shape == (len(samples), 10)


def test_it_names_its_modes_and_its_data(extractor_of: ExtractorOf, digits: Path) -> None:
    extractor = read_extractor(extractor_of(digits))
    assert extractor.kind == "classifier"
    assert extractor.mode_names == read_manifest(digits).class_names
    assert extractor.dataset_fingerprint == read_manifest(digits).fingerprint
    assert extractor.sha256 == sha256_of_file(extractor_of(digits) / EXTRACTOR_GRAPH_NAME)


def test_vectors_are_their_own_features_and_belong_to_the_nearest_centre(extractor_of: ExtractorOf, ring: Path) -> None:
    extractor, manifest = read_extractor(extractor_of(ring)), read_manifest(ring)
    assert extractor.kind == "nearest-center"
    assert manifest.mixture is not None
    points = np.random.Generator(np.random.PCG64(0)).normal(size=(500, 2)).astype(np.float32)
    session = open_session(extractor_of(ring) / EXTRACTOR_GRAPH_NAME)
    features, logits = session.run(["features", "logits"], {"sample": points})
    assert np.array_equal(features, points)
    centers = np.array(manifest.mixture.centers)
    distances = np.linalg.norm(points[:, None] - centers[None], axis=2)
    two = np.sort(distances, axis=1)
    clear = two[:, 1] - two[:, 0] > 0.05
    assert clear.sum() > 300
    assert np.array_equal(logits.argmax(axis=1)[clear], distances.argmin(axis=1)[clear])


@pytest.mark.parametrize("source", ["mixture:ring8", "digits"])
def test_classes_without_rows_are_no_modes(tmp_path: Path, source: str) -> None:
    names = ("mode 0", "mode 5") if source == "mixture:ring8" else ("0", "5")
    prepare(DataSettings(source=source, rows=3_000, excluded_classes=names), tmp_path / "data")
    settings = ExtractorSettings(epochs=1, base_channels=8, feature_width=16, batch_size=32, learning_rate=1e-2)
    extractor = fit_extractor(settings, 0, tmp_path / "data", tmp_path / "out")
    manifest = read_manifest(tmp_path / "data")
    assert extractor.mode_names == [name for name in manifest.class_names if name not in names]
    samples, labels = read_split(tmp_path / "data", manifest, "test")
    rows = samples if samples.ndim == 2 else samples.transpose(0, 2, 3, 1)
    (logits,) = run_in_batches(open_session(tmp_path / "out" / EXTRACTOR_GRAPH_NAME), rows, ["logits"])
    assert np.isfinite(logits).all()
    found = [extractor.mode_names[mode] for mode in logits.argmax(axis=1)]
    right = np.mean([name == manifest.class_names[label] for name, label in zip(found, labels, strict=True)])
    assert extractor.held_out_accuracy == pytest.approx(right)
    assert right > (0.99 if source == "mixture:ring8" else 0.25)  # twice a guess, after one pass


def test_the_same_seed_gives_the_same_judge_and_another_seed_another(
    extractor_of: ExtractorOf, digits: Path, tmp_path: Path, tiny_recipe: Callable[[str], Recipe]
) -> None:
    torch.set_num_threads(1)
    settings = tiny_recipe("gan").extractor
    again = fit_extractor(settings, 0, digits, tmp_path / "again")
    assert again.sha256 == read_extractor(extractor_of(digits)).sha256
    assert fit_extractor(settings, 1, digits, tmp_path / "other").sha256 != again.sha256


def test_pictures_without_labels_are_judged_by_clusters(tmp_path: Path) -> None:
    random = np.random.Generator(np.random.PCG64(0))
    (tmp_path / "in").mkdir()
    for number in range(120):  # three obvious kinds
        pixels = random.integers(0, 40, (8, 8), dtype=np.uint8)
        pixels[:, 2 * (number % 3) : 2 * (number % 3) + 3] += 200
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    prepare(DataSettings(source=f"folder:{tmp_path / 'in'}", image_size=8), tmp_path / "data")
    settings = ExtractorSettings(epochs=1, base_channels=4, feature_width=8, clusters=3)
    extractor = fit_extractor(settings, 0, tmp_path / "data", tmp_path / "out")
    assert extractor.kind == "clusters"
    assert extractor.mode_names == ["cluster 0", "cluster 1", "cluster 2"]
    assert extractor.held_out_accuracy is None


def test_clusters_find_what_is_apart() -> None:
    random = np.random.Generator(np.random.PCG64(0))
    truth = np.arange(300) % 3
    rows = (np.array([[0, 0], [9, 0], [0, 9]])[truth] + random.normal(size=(300, 2))).astype(np.float32)
    found = cluster_labels(rows, 3, seed=0)
    assert sorted(np.unique(np.stack([truth, found]), axis=1).shape) == [2, 3]  # one cluster for each kind
    assert cluster_labels(rows[:2], 10, seed=0).max() <= 1


@pytest.mark.parametrize("harm", ["altered", "removed"])
def test_an_altered_judge_is_refused(extractor_of: ExtractorOf, ring: Path, tmp_path: Path, harm: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(extractor_of(ring), copy)
    if harm == "removed":
        (copy / EXTRACTOR_GRAPH_NAME).unlink()
    else:
        (copy / EXTRACTOR_GRAPH_NAME).write_bytes((copy / EXTRACTOR_GRAPH_NAME).read_bytes() + b"\0")
    with pytest.raises(ArtifactError, match=EXTRACTOR_GRAPH_NAME):
        read_extractor(copy)
