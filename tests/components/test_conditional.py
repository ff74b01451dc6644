"""Class-conditional models on the whole way: trained, exported with a `label` input, judged, and read by serving."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate.core import evaluate
from components.evaluate.reader import read_report
from components.export.bundle import read_bundle
from components.export.core import export
from components.onnx_graphs.sessions import open_session
from components.recipe import Recipe, override
from components.train.core import train
from models.errors import ConfigurationError
from models.latents import standard_normal_latents
from serving.bundle.signature import Signature


@pytest.mark.parametrize("family", ["gan", "vae"])
def test_the_class_is_an_input_from_training_to_serving(
    tiny_recipe: Callable[[str], Recipe], digits: Path, extractor_of: Any, tmp_path: Path, family: str
) -> None:
    recipe = override(tiny_recipe(family), {"model.conditional": True, "training.images_seen": 320})
    train(recipe, digits, tmp_path / "checkpoint")
    export(tmp_path / "checkpoint", tmp_path / "bundle")
    signature = read_bundle(tmp_path / "bundle")
    sampler = signature.graphs[signature.sampler]
    assert [(tensor.name, tensor.dtype, tensor.shape[1:]) for tensor in sampler.inputs] == [
        ("latent", "float32", [8]),
        ("label", "int64", []),
    ]
    session = open_session(tmp_path / "bundle" / sampler.file)
    latent = np.repeat(standard_normal_latents(0, 1, 8), 10, axis=0)
    (image,) = session.run(["image"], {"latent": latent, "label": np.arange(10)})
    assert len({picture.tobytes() for picture in image}) == 10
    golden = np.load(tmp_path / "bundle" / signature.golden.file)
    count = signature.golden.count
    labels = np.arange(count) % len(signature.class_names)
    (again,) = session.run(["image"], {"latent": standard_normal_latents(0, count, 8), "label": labels})
    assert np.abs(golden - again).max() <= signature.golden.tolerance
    evaluate(
        tmp_path / "bundle",
        digits,
        extractor_of(digits),
        tmp_path / "report",
        settings=recipe.gate,
        limits_source="test",
    )
    metrics, _ = read_report(tmp_path / "report")
    assert metrics.metrics["unsound_sample_share"].value == 0.0
    page = (tmp_path / "report" / "report.html").read_text()
    assert ("Rows are of the classes" in page) == (family == "gan")
    assert page.count("The class is ") == (1 if family == "gan" else 2)
    served = Signature.model_validate(json.loads((tmp_path / "bundle" / "signature.json").read_text()))
    assert served.conditional


def test_packing_and_classes_exclude_each_other(tiny_recipe: Callable[[str], Recipe]) -> None:
    recipe = override(tiny_recipe("gan"), {"model.conditional": True})
    with pytest.raises(ConfigurationError, match="packing"):
        override(recipe, {"model.packing": 2})
