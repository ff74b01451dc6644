"""Evaluation of real bundles: deterministic, complete, and able to say no."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from components.artifacts import sha256_of_file
from components.evaluate.champion import Champion
from components.evaluate.core import evaluate
from components.evaluate.limits import limits_of
from components.evaluate.measure import Measured
from components.evaluate.page import render_page
from components.evaluate.reader import read_report
from components.evaluate.reference import read_reference
from components.evaluate.scored import extract
from components.evaluate.settings import GateSettings
from components.export.bundle import read_bundle
from components.extractor.reader import read_extractor
from components.prepare.core import prepare
from components.prepare.dataset import read_manifest, read_split
from components.prepare.settings import DataSettings
from models.errors import ArtifactError, ConfigurationError

FAST = GateSettings(samples=300, importance_samples=2, likelihood_rows=20)


def judged(run: Any, output: Path, settings: GateSettings = FAST, **changes: Any) -> tuple[Any, Any]:
    arguments = {"bundle": run.bundle, "dataset": run.dataset, "extractor_directory": run.extractor, **changes}
    evaluate(**arguments, output=output, settings=settings, limits_source="test")
    return read_report(output)


@pytest.mark.parametrize("family", ["gan", "vae", "ring"])
def test_the_same_bundle_is_judged_the_same_twice(tiny: Any, tmp_path: Path, family: str) -> None:
    first, second = (judged(tiny(family), tmp_path / name) for name in ("a", "b"))
    assert first == second
    pages = [(tmp_path / name / "report.html").read_text() for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_another_seed_draws_other_samples(tiny: Any, tmp_path: Path) -> None:
    first, _ = judged(tiny("gan"), tmp_path / "a")
    second, _ = judged(tiny("gan"), tmp_path / "b", FAST.model_copy(update={"seed": 1}))
    assert first.samples_sha256 != second.samples_sha256


@pytest.mark.parametrize("family", ["gan", "vae", "ae"])
def test_an_untrained_model_fails_the_recipes_own_limits(tiny: Any, family: str) -> None:
    _, verdict = read_report(tiny(family).report)  # 20 updates: as good as untrained
    assert not verdict.passed
    failed = {check.name for check in verdict.checks if not check.passed}
    assert failed & {"frechet_distance", "smallest_mode_share", "reconstruction_mean_squared_error"}
    assert all(check.reason for check in verdict.checks)


@pytest.mark.parametrize("family", ["gan", "vae", "ae", "ring"])
def test_what_each_family_is_asked_for_is_measured(tiny: Any, family: str) -> None:
    metrics, _ = read_report(tiny(family).report)
    expected = {
        "unsound_sample_share",
        "extractor_accuracy",
        "frechet_distance",
        "smallest_mode_share",
        "mode_kl_samples_to_data",
    }
    if family in ("vae", "ae"):
        expected |= {"reconstruction_mean_squared_error", "active_units"}
    if family == "vae":
        expected |= {"kl_from_mean", "kl_from_variance"}
    if family == "ring":
        expected |= {"high_quality_share", "modes_recovered"}
    assert expected <= metrics.metrics.keys()
    assert metrics.metrics["unsound_sample_share"].value == 0.0
    assert sum(metrics.mode_shares) == pytest.approx(1.0)
    assert sum(metrics.real_mode_shares) == pytest.approx(1.0)
    assert len(metrics.mode_names) == len(metrics.mode_shares)
    assert metrics.metrics["smallest_mode_share"].value == pytest.approx(min(metrics.mode_shares))


def test_the_report_is_a_page_that_states_the_verdict(tiny: Any) -> None:
    run = tiny("gan")
    metrics, verdict = read_report(run.report)
    page = (run.report / "report.html").read_text()
    assert "digits-gan: failed" in page
    assert not verdict.passed
    assert "Fréchet" in page
    assert metrics.samples_sha256[:12] in page


@pytest.mark.parametrize(
    ("family", "shown"),
    [
        ("gan", ["From one picture to another", "One dimension at a time"]),
        (
            "ae",
            [
                "From one picture to another",
                "One dimension at a time",
                "Neighbours in code and in pixels",
                "Holes of the latent space",
            ],
        ),
        (
            "vae",
            [
                "From one picture to another",
                "One dimension at a time",
                "Neighbours in code and in pixels",
                "Holes of the latent space",
                "What each dimension carries",
            ],
        ),
        ("ring", []),
    ],
)
def test_each_familys_page_shows_its_own_latent_space(tiny: Any, family: str, shown: list[str]) -> None:
    page = (tiny(family).report / "report.html").read_text()
    headings = re.findall(r"<h3>([^<]+)</h3>", page)
    known = ("From one picture", "One dimension", "Neighbours in", "Holes of", "What each dimension")
    assert [heading for heading in headings if heading.startswith(known)] == shown
    assert ("<h2>The latent space</h2>" in page) == bool(shown)


def test_the_parts_of_the_kl_on_the_page_are_those_in_the_metrics(tiny: Any) -> None:
    metrics, _ = read_report(tiny("vae").report)
    nats = re.search(r"held-out rows, ([\d.]+) nats in all", (tiny("vae").report / "report.html").read_text())
    whole = (metrics.metrics["kl_from_mean"].value or 0.0) + (metrics.metrics["kl_from_variance"].value or 0.0)
    assert nats is not None and float(nats[1]) == pytest.approx(whole, rel=1e-3)


def test_samples_that_are_training_rows_are_shown_as_copies(tiny: Any) -> None:
    run = tiny("gan")
    signature, manifest, extractor = read_bundle(run.bundle), read_manifest(run.dataset), read_extractor(run.extractor)
    metrics, verdict = read_report(run.report)
    reference = read_reference(run.dataset, manifest, run.extractor, extractor, held_out=100, training=100)
    copies = extract(run.extractor, reference.training_pictures(np.arange(50)))
    measured = Measured(replace(reference.held_out, detail=copies), {}, None, [])
    page = render_page(run.bundle, run.extractor, signature, manifest, metrics, verdict, measured, reference)
    assert page.count("training picture nearest to it") == 12
    assert page.count("<figcaption>× 0</figcaption>") == 12
    assert (run.report / "report.html").read_text().count("training picture nearest to it") == 12


def test_data_of_another_shape_is_refused(tiny: Any, tmp_path: Path) -> None:
    prepare(DataSettings(image_size=16), tmp_path / "small")
    with pytest.raises(ArtifactError, match=r"\[1, 28, 28\].*\[1, 16, 16\]"):
        judged(tiny("gan"), tmp_path / "out", dataset=tmp_path / "small")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["bundle", "dataset", "extractor_directory"])
def test_an_incomplete_input_is_refused(tiny: Any, tmp_path: Path, missing: str) -> None:
    with pytest.raises(ArtifactError, match="absent"):
        judged(tiny("ring"), tmp_path / "out", **{missing: tmp_path / "absent"})


def test_a_finished_report_is_not_overwritten(tiny: Any) -> None:
    with pytest.raises(ArtifactError, match="finished"):
        judged(tiny("ring"), tiny("ring").report)


@pytest.fixture
def broken(tmp_path: Path, tiny: Any) -> Any:
    """Makes a bundle whose graphs give NaN, with a signature that fits it."""

    def make(family: str) -> Path:
        copy = tmp_path / f"broken-{family}"
        shutil.copytree(tiny(family).bundle, copy)
        document = json.loads((copy / "signature.json").read_text())
        for graph in document["graphs"].values():
            model = onnx.load(copy / graph["file"])
            for tensor in model.graph.initializer:
                values = onnx.numpy_helper.to_array(tensor)
                if values.dtype == np.float32 and values.ndim > 1:
                    tensor.CopyFrom(onnx.numpy_helper.from_array(np.full_like(values, np.nan), tensor.name))
            onnx.save(model, copy / graph["file"])
            graph["sha256"] = sha256_of_file(copy / graph["file"])
        (copy / "signature.json").write_text(json.dumps(document))
        return copy

    return make


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("family", ["gan", "vae", "ring"])
def test_a_model_that_gives_nan_is_judged_and_fails(tiny: Any, broken: Any, tmp_path: Path, family: str) -> None:
    metrics, verdict = judged(tiny(family), tmp_path / "out", tiny(family).recipe.gate, bundle=broken(family))
    assert metrics.metrics["unsound_sample_share"].value == 1.0
    assert not verdict.passed
    assert (tmp_path / "out" / "report.html").is_file()


def champion_of(run: Any, **changes: Any) -> Champion:
    fields = {
        "version": "7",
        "bundle": run.bundle,
        "dataset_name": "digits",
        "extractor_sha256": read_extractor(run.extractor).sha256,
    }
    return Champion(**{**fields, **changes})


def test_the_champion_is_measured_on_the_same_data_and_seed(tiny: Any, tmp_path: Path) -> None:
    metrics, verdict = judged(tiny("gan"), tmp_path / "out", champion=champion_of(tiny("gan")))
    assert (metrics.champion_seen, metrics.champion_version) == ("7", "7")
    assert metrics.champion == metrics.metrics  # it is the same bundle
    assert verdict.non_inferior
    better, _ = judged(tiny("gan"), tmp_path / "vae", champion=champion_of(tiny("vae")))
    assert better.champion["frechet_distance"] != better.metrics["frechet_distance"]


@pytest.mark.parametrize(
    ("changes", "explained"),
    [({"extractor_sha256": "0" * 64}, "another extractor"), ({"dataset_name": "faces"}, "other data (faces)")],
)
def test_a_champion_that_cannot_be_compared_is_explained(
    tiny: Any, tmp_path: Path, changes: dict[str, str], explained: str
) -> None:
    metrics, verdict = judged(tiny("gan"), tmp_path / "out", champion=champion_of(tiny("gan"), **changes))
    assert explained in metrics.champion_note
    assert (metrics.champion_version, metrics.champion) == (None, {})
    assert verdict.non_inferior
    assert explained in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("harm", "explained"),
    [
        ("registered by hand", "no bundle"),
        ("half", "its bundle is half-written"),
        ("older", "its bundle/signature.json is not a valid Signature"),
        ("altered", "is missing or altered"),
        ("smaller", "[1, 16, 16]"),
    ],
)
def test_a_champions_defect_is_a_note_and_blocks_no_evaluation(
    tiny: Any, tmp_path: Path, harm: str, explained: str
) -> None:
    bundle = tmp_path / "champion"
    shutil.copytree(tiny("gan").bundle, bundle)
    document = json.loads((bundle / "signature.json").read_text())
    changes = {"version": "3", "bundle": bundle}
    match harm:
        case "registered by hand":
            changes = {"version": "3", "bundle": tmp_path, "defect": "version 3 has no bundle"}
        case "half":
            (bundle / "signature.json").unlink()
        case "older":
            del document["parity"]
        case "altered":
            (bundle / "generator.onnx").write_bytes(b"")
        case _:
            document["sample"]["shape"] = [1, 16, 16]
    if (bundle / "signature.json").exists():
        (bundle / "signature.json").write_text(json.dumps(document))
    metrics, verdict = judged(tiny("gan"), tmp_path / "out", champion=champion_of(tiny("gan"), **changes))
    assert explained in metrics.champion_note
    assert str(tmp_path) not in metrics.champion_note
    assert (metrics.champion_seen, metrics.champion_version, metrics.champion) == ("3", None, {})
    assert verdict.non_inferior


def test_the_posterior_is_measured_as_training_diagnoses_it(tiny: Any) -> None:
    """The numbers of the exported encoder are those of ``models.diagnostics``: one definition, two uses."""
    import torch

    from components.onnx_graphs.sessions import open_session, run_in_batches
    from components.prepare.dataset import read_manifest
    from models.diagnostics import active_units, kl_per_dimension

    run = tiny("vae")
    manifest = read_manifest(run.dataset)
    rows = np.concatenate([read_split(run.dataset, manifest, split)[0] for split in ("validation", "test")])
    encoded = run_in_batches(
        open_session(run.bundle / "encoder.onnx"), rows.transpose(0, 2, 3, 1), ["mean", "log_variance"]
    )
    mean, log_variance = map(torch.from_numpy, encoded)
    metrics, _ = read_report(run.report)
    values = {name: metrics.metrics[name].value for name in ("active_units", "kl_from_mean", "kl_from_variance")}
    assert values["active_units"] == active_units(mean)
    total = float(kl_per_dimension(mean, log_variance).sum())
    assert values["kl_from_mean"] + values["kl_from_variance"] == pytest.approx(total)
    assert values["kl_from_mean"] > 0.0


def test_every_word_of_the_report_is_of_something_that_is_measured(tiny: Any, tmp_path: Path) -> None:
    from components.compare.order import settling
    from components.compare.rates import code_rates
    from components.evaluate.words import WORDS

    # Bits are of likelihoods that the tiny recipes do not have: tests/components/evaluate/test_coding.py.
    known = {"non_inferior_to_champion", "bits_per_dimension"}
    held, _ = judged(tiny("gan"), tmp_path / "held", FAST.model_copy(update={"detailed_samples": 100}))
    known |= held.metrics.keys()
    for family in ("gan", "vae", "ae", "ring"):
        metrics, verdict = read_report(tiny(family).report)
        known |= metrics.metrics.keys() | {check.name for check in verdict.checks}
    # The comparison adds its own.
    rates = code_rates(tiny("vae").bundle, tiny("ae").bundle, tiny("vae").dataset)
    history = [{"images_seen": n, "held_out_reconstruction_nats": 9.0 - n, "held_out_kl_nats": n} for n in range(5)]
    known |= rates[0].keys() | rates[1].keys() | settling(history).keys()
    assert set(WORDS) <= known


def test_the_limits_are_the_bundles_recipes_unless_a_file_replaces_them(tiny: Any, tmp_path: Path) -> None:
    run = tiny("gan")
    recipe, limits, source = limits_of(run.bundle, None)
    assert (recipe, limits, source) == (run.recipe, run.recipe.gate, "recipe digits-gan")
    (tmp_path / "limits.json").write_text('{"smallest_mode_share": 0.5}')
    _, limits, source = limits_of(run.bundle, tmp_path / "limits.json")
    assert (limits, source) == (GateSettings(smallest_mode_share=0.5), "file limits.json")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"smallest_share": 1}', "smallest_share"),
        ('{"mode_kl_samples_to_data_nats": -1}', "mode_kl_samples_to_data_nats"),
        ("{", "Invalid JSON"),
        (None, "Cannot"),
    ],
)
def test_wrong_limits_are_a_configuration_error(tiny: Any, tmp_path: Path, content: str | None, named: str) -> None:
    if content is not None:
        (tmp_path / "limits.json").write_text(content)
    with pytest.raises(ConfigurationError, match=named):
        limits_of(tiny("gan").bundle, tmp_path / "limits.json")


def test_a_bundle_without_its_recipe_has_no_limits(tiny: Any, tmp_path: Path) -> None:
    shutil.copytree(tiny("ring").bundle, tmp_path / "copy")
    (tmp_path / "copy" / "recipe.json").unlink()
    assert read_bundle(tmp_path / "copy")
    with pytest.raises(ArtifactError, match=r"no recipe\.json"):
        limits_of(tmp_path / "copy", None)
