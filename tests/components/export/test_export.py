"""The exported graphs: what torch computes, at every batch size, in one file each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from components.artifacts import sha256_of_file
from components.export.bundle import RECIPE_NAME, read_bundle
from components.export.core import TOLERANCE, export
from components.onnx_graphs.pixels import from_pixels, to_pixels
from components.onnx_graphs.sessions import open_session, run_in_batches
from components.prepare.core import prepare
from components.recipe import override, parse_recipe
from components.train.checkpoint import WEIGHTS_NAME, load_weights, read_checkpoint
from components.train.core import train
from models.errors import ArtifactError, ExportError
from models.latents import standard_normal_latents
from models.steps.build import build_step
from models.steps.step import Execution

FAMILIES = ("gan", "vae", "ae", "ring")
NAMES = {
    "gan": {"generator": (["latent"], ["image", "pixels"])},
    "vae": {
        "encoder": (["pixels"], ["mean", "log_variance"]),
        "decoder": (["latent"], ["image", "pixels", "location"]),
    },
    "ae": {"encoder": (["pixels"], ["mean"]), "decoder": (["latent"], ["image", "pixels", "location"])},
    "ring": {"generator": (["latent"], ["sample"])},
}


def noise_for(graph: Any, count: int) -> np.ndarray:
    (described,) = graph.inputs
    random = np.random.Generator(np.random.PCG64(count))
    shape = [count, *described.shape[1:]]
    if described.dtype == "uint8":
        return random.integers(0, 256, shape, dtype=np.uint8)
    return random.standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_inputs_and_outputs_have_the_contracts_names_types_and_shapes(family: str, tiny: Any) -> None:
    signature = read_bundle(tiny(family).bundle)
    found = {
        name: ([tensor.name for tensor in graph.inputs], [tensor.name for tensor in graph.outputs])
        for name, graph in signature.graphs.items()
    }
    assert found == NAMES[family]
    tensors = {
        tensor.name: (tensor.dtype, tensor.shape)
        for graph in signature.graphs.values()
        for tensor in [*graph.inputs, *graph.outputs]
    }
    z = signature.latent.size
    expected = {
        "latent": ("float32", [-1, z]),
        "image": ("float32", [-1, 1, 28, 28]),
        "location": ("float32", [-1, 1, 28, 28]),
        "pixels": ("uint8", [-1, 28, 28, 1]),
        "mean": ("float32", [-1, z]),
        "log_variance": ("float32", [-1, z]),
        "sample": ("float32", [-1, 2]),
    }
    assert tensors == {name: expected[name] for name in tensors}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_graph_is_one_valid_file_with_a_named_dynamic_batch_axis(family: str, tiny: Any) -> None:
    bundle = tiny(family).bundle
    signature = read_bundle(bundle)
    for graph in signature.graphs.values():
        model = onnx.load(bundle / graph.file, load_external_data=False)
        onnx.checker.check_model(model, full_check=True)
        assert not any(onnx.external_data_helper.uses_external_data(tensor) for tensor in model.graph.initializer)
        for tensor in [*model.graph.input, *model.graph.output]:
            assert tensor.type.tensor_type.shape.dim[0].dim_param == "N"
        assert graph.size_bytes == (bundle / graph.file).stat().st_size
        assert graph.sha256 == sha256_of_file(bundle / graph.file)
        assert str(Path(__file__).parents[3]).encode() not in model.SerializeToString()  # no trace of this machine
    assert not list(bundle.glob("*.data"))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_batch_size_runs_and_rows_do_not_depend_on_their_neighbours(family: str, tiny: Any) -> None:
    bundle = tiny(family).bundle
    for graph in read_bundle(bundle).graphs.values():
        session = open_session(bundle / graph.file)
        rows = noise_for(graph, 17)
        names = [tensor.name for tensor in graph.outputs]
        whole = session.run(names, {graph.inputs[0].name: rows})
        for count in (1, 3):
            part = session.run(names, {graph.inputs[0].name: rows[:count]})
            for name, ours, theirs in zip(names, part, whole, strict=True):
                assert ours.shape == (count, *theirs.shape[1:])
                assert np.allclose(ours.astype(float), theirs[:count], atol=1 if name == "pixels" else 1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_samples_are_those_of_the_averaged_network_in_torch(family: str, tiny: Any) -> None:
    run = tiny(family)
    signature, trained = read_bundle(run.bundle), read_checkpoint(run.checkpoint)
    step = build_step(trained.recipe.model, tuple(trained.sample_shape), 10, Execution(torch.device("cpu")))
    load_weights(run.checkpoint, step.networks)
    latent = standard_normal_latents(123, 50, signature.latent.size)
    expected = step.sample(torch.from_numpy(latent)).numpy()
    session = open_session(run.bundle / signature.graphs[signature.sampler].file)
    (computed,) = session.run(["sample" if family == "ring" else "image"], {"latent": latent})
    assert np.abs(computed - expected).max() <= TOLERANCE
    assert signature.parity.max_absolute_error <= signature.parity.tolerance == TOLERANCE


@pytest.mark.parametrize("family", ["gan", "vae", "ae"])
def test_pixels_are_the_rounded_picture(family: str, tiny: Any) -> None:
    run = tiny(family)
    signature = read_bundle(run.bundle)
    latent = standard_normal_latents(1, 64, signature.latent.size)
    session = open_session(run.bundle / signature.graphs[signature.sampler].file)
    image, pixels = session.run(["image", "pixels"], {"latent": latent})
    assert 0.0 <= image.min() <= image.max() <= 1.0
    assert image.std() > 0.0
    assert np.array_equal(pixels, np.rint(image * np.float32(255)).astype(np.uint8).transpose(0, 2, 3, 1))


def test_logits_are_the_pictures_before_the_sigmoid(tiny: Any) -> None:
    latent = standard_normal_latents(1, 5, 8)
    image, logits = open_session(tiny("vae").bundle / "decoder.onnx").run(["image", "location"], {"latent": latent})
    assert np.allclose(1.0 / (1.0 + np.exp(-logits)), image, atol=1e-6)


def test_to_pixels_and_from_pixels_are_inverse() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(2, 16, 16, 3).contiguous()
    assert torch.equal(to_pixels(from_pixels(pixels)), pixels)


def test_the_golden_file_is_what_the_graph_gives_for_the_first_latents(tiny: Any) -> None:
    run = tiny("gan")
    signature = read_bundle(run.bundle)
    golden = np.load(run.bundle / signature.golden.file)
    latent = standard_normal_latents(signature.golden.seed, signature.golden.count, signature.latent.size)
    (image,) = open_session(run.bundle / "generator.onnx").run(["image"], {"latent": latent})
    assert np.array_equal(golden, image)
    assert signature.golden.sha256 == sha256_of_file(run.bundle / signature.golden.file)


def test_the_lineage_names_where_it_comes_from(tiny: Any) -> None:
    run = tiny("gan")
    lineage, trained = read_bundle(run.bundle).lineage, read_checkpoint(run.checkpoint)
    assert lineage.recipe_sha256 == run.recipe.sha256
    assert lineage.dataset_fingerprint == trained.dataset_fingerprint
    assert (lineage.images_seen, lineage.pipeline_run_id) == (640, "run-gan")
    assert parse_recipe((run.bundle / RECIPE_NAME).read_text()) == run.recipe
    assert (run.bundle / "history.jsonl").read_bytes() == (run.checkpoint / "history.jsonl").read_bytes()


@pytest.mark.parametrize("harm", ["altered", "removed"])
def test_an_altered_graph_is_refused(tiny: Any, tmp_path: Path, harm: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(tiny("vae").bundle, copy)
    if harm == "removed":
        (copy / "encoder.onnx").unlink()
    else:
        content = bytearray((copy / "encoder.onnx").read_bytes())
        content[len(content) // 2] ^= 1
        (copy / "encoder.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"encoder\.onnx"):
        read_bundle(copy)


def test_weights_that_are_not_finite_are_not_exported(tiny: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    copy = tmp_path / "copy"
    shutil.copytree(tiny("ring").checkpoint, copy)
    tensors = load_file(copy / WEIGHTS_NAME)
    for tensor in tensors.values():
        tensor.fill_(float("nan"))
    save_file(tensors, copy / WEIGHTS_NAME)
    document = json.loads((copy / "checkpoint.json").read_text())
    document["weights_sha256"] = sha256_of_file(copy / WEIGHTS_NAME)
    (copy / "checkpoint.json").write_text(json.dumps(document))
    with pytest.raises(ExportError):
        export(copy, tmp_path / "bundle")
    assert not (tmp_path / "bundle" / "signature.json").exists()


def test_running_in_batches_is_running_at_once(tiny: Any) -> None:
    session = open_session(tiny("ring").bundle / "generator.onnx")
    latent = standard_normal_latents(0, 600, 2)
    (parts,) = run_in_batches(session, latent, ["sample"])
    assert np.allclose(parts, session.run(["sample"], {"latent": latent})[0], atol=1e-6)


def test_a_finished_bundle_is_not_overwritten(tiny: Any) -> None:
    run = tiny("ring")
    with pytest.raises(ArtifactError, match="finished"):
        export(run.checkpoint, run.bundle)


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_bundle_says_how_its_data_was_made_square(fit: Any, tiny_recipe: Any, tmp_path: Path) -> None:
    """From the settings of preparation by the manifest and the checkpoint; training's recipe holds no data settings."""
    recipe = override(tiny_recipe("ae"), {"data.fit": fit})
    assert prepare(recipe.data, tmp_path / "data").fit == fit
    assert train(recipe.for_training(), tmp_path / "data", tmp_path / "checkpoint").fit == fit
    assert export(tmp_path / "checkpoint", tmp_path / "bundle").sample.fit == fit
    document = json.loads((tmp_path / "bundle" / "signature.json").read_text())
    assert document["sample"]["fit"] == fit
    del document["sample"]["fit"]
    (tmp_path / "bundle" / "signature.json").write_text(json.dumps(document))
    assert read_bundle(tmp_path / "bundle").sample.fit == "crop", "as every bundle before it was written"
