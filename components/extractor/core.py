"""Fit the feature space to the data's own labels and write it as an Extractor."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from components.artifacts import prepare_output_directory, sha256_of_file, write_document
from components.cache import cached_directory
from components.extractor.clusters import cluster_labels
from components.extractor.document import EXTRACTOR_GRAPH_NAME, EXTRACTOR_NAME, Extractor
from components.extractor.features import feature_space
from components.extractor.reader import read_extractor
from components.extractor.settings import ExtractorSettings
from components.onnx_graphs.pixels import from_pixels
from components.onnx_graphs.sessions import open_session, run_in_batches
from components.onnx_graphs.writer import write_onnx
from components.prepare.dataset import open_split, read_manifest, read_split
from components.prepare.manifest import Manifest
from models.networks.classifier import Classifier, NearestCenter

SHIFT_PIXELS = 2
_FORMAT = 1
"""To be raised when the same data and settings would give another extractor."""


class ExtractorGraph(nn.Module):
    """pixels uint8 [N, H, W, C] → features [N, d], logits [N, K]."""

    def __init__(self, classifier: Classifier, features: nn.Module | None) -> None:
        """
        Args:
            classifier: tells modes apart.
            features: of pictures in [0, 255], [N, C, H, W]; the classifier's own where None.
        """
        super().__init__()
        self.classifier, self.features = classifier, features

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        features, logits = self.classifier(from_pixels(pixels))
        if self.features is not None:
            features = self.features(pixels.permute(0, 3, 1, 2).to(torch.float32))
        return features, logits


def fit_extractor(settings: ExtractorSettings, seed: int, dataset: Path, output: Path) -> Extractor:
    """Fit on the training split, measure on the test split, write the graph and its document.

    Args:
        settings: size and effort.
        seed: of the weights and of the order of the data.
        dataset: a finished Dataset.
        output: a new directory.

    Raises:
        ArtifactError: if the dataset is incomplete or ``output`` is finished already.
    """
    manifest = read_manifest(dataset)
    prepare_output_directory(output, EXTRACTOR_NAME)

    def fit(place: Path) -> None:
        _fit(settings, seed, dataset, manifest, place)

    if settings.weights and not settings.weights_sha256:
        fit(output)  # a file may be replaced by another of the same name
    else:
        key = {
            "format": _FORMAT,
            "dataset": manifest.fingerprint,
            "settings": settings.model_dump(mode="json"),
            "seed": seed,
            "torch": str(torch.__version__),
        }
        cached_directory("extractor", key, output, fit)
    return read_extractor(output)


def _fit(settings: ExtractorSettings, seed: int, dataset: Path, manifest: Manifest, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    # Rows stand in the order of their content's hash: the first ones are as good as any.
    samples, labels = open_split(dataset, manifest, "train").first(settings.rows)
    names, has_labels = manifest.class_names, bool(manifest.class_names)
    kind: Literal["classifier", "clusters", "nearest-center"] = "classifier" if has_labels else "clusters"
    if not has_labels:
        labels = cluster_labels(samples, settings.clusters, seed)
        names = [f"cluster {index}" for index in range(int(labels.max()) + 1)]
    # A class without rows, an excluded one for instance, is no mode: nothing is known of where it would lie.
    present, labels = np.unique(labels, return_inverse=True)
    mode_names = [names[index] for index in present]
    path, weights_sha256 = output / EXTRACTOR_GRAPH_NAME, ""
    if manifest.kind == "vector":
        kind = "nearest-center"
        centers = np.stack([samples[labels == mode].mean(axis=0) for mode in range(len(mode_names))])
        module: nn.Module = NearestCenter(torch.from_numpy(centers))
        example = {"sample": torch.zeros(3, *manifest.sample_shape)}
    else:
        features, weights_sha256 = feature_space(settings, manifest.sample_shape[0], seed)
        module = ExtractorGraph(_fit_classifier(settings, seed, samples, labels, len(mode_names)), features).eval()
        channels, height, width = manifest.sample_shape
        example = {"pixels": torch.zeros(3, height, width, channels, dtype=torch.uint8)}
    write_onnx(module, example, path, output_names=["features", "logits"])
    extractor = Extractor(
        kind=kind,
        features="vectors" if manifest.kind == "vector" else settings.kind,
        weights_sha256=weights_sha256,
        sha256=sha256_of_file(path),
        feature_width=_width(path, example),
        mode_names=mode_names,
        held_out_accuracy=_accuracy(path, present, *read_split(dataset, manifest, "test")) if has_labels else None,
        dataset_fingerprint=manifest.fingerprint,
    )
    write_document(output / EXTRACTOR_NAME, extractor)


def _width(path: Path, example: dict[str, Tensor]) -> int:
    (features,) = open_session(path).run(["features"], {name: value.numpy() for name, value in example.items()})
    return int(features.shape[1])


def _accuracy(
    path: Path, present: npt.NDArray[np.int64], samples: npt.NDArray[Any], labels: npt.NDArray[np.int64]
) -> float:
    """Share of samples [N, ...] whose mode stands for their label [N]; ``present`` [K] holds each mode's label."""
    rows = samples if samples.ndim == 2 else samples.transpose(0, 2, 3, 1)
    (logits,) = run_in_batches(open_session(path), rows, ["logits"])
    return float((present[logits.argmax(axis=1)] == labels).mean())


def _fit_classifier(
    settings: ExtractorSettings, seed: int, samples: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], classes: int
) -> Classifier:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    _, channels, height, width = samples.shape
    classifier = Classifier((channels, height, width), settings.base_channels, settings.feature_width, classes)
    images = torch.from_numpy(samples)
    targets = torch.from_numpy(np.array(labels))
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=settings.learning_rate, weight_decay=1e-2)
    steps = settings.epochs * -(-len(images) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps)
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(images), generator=generator).split(settings.batch_size):
            _, logits = classifier(_shifted(images[rows].to(torch.float32) / 255.0, generator))
            loss = cross_entropy(logits, targets[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    return classifier.eval()


def _shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """The batch moved by one random offset of at most two pixels: a cheap remedy against learning positions."""
    down, right = (int(torch.randint(-SHIFT_PIXELS, SHIFT_PIXELS + 1, (), generator=generator)) for _ in range(2))
    return torch.roll(images, (down, right), dims=(2, 3))
