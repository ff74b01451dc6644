"""Real models side by side, and what may not be compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import read_document
from components.compare.core import compare
from components.compare.documents import COMPARISON_NAME, PAGE_NAME, Comparison
from components.prepare.core import prepare
from components.prepare.settings import DataSettings
from components.recipe import override
from models.errors import ArtifactError, ConfigurationError
from pipelines.contestants import contestants
from pipelines.recipes import recipe_by_name
from tests.pipelines.own_stack import on_its_own_stack

FAMILIES = ("gan", "vae", "ae")


def of(tiny: Any, output: Path, families: tuple[str, ...] = FAMILIES) -> Comparison:
    runs = [tiny(family) for family in families]
    return compare([run.bundle for run in runs], [run.report for run in runs], runs[0].dataset, output)


def test_families_stand_side_by_side(tiny: Any, tmp_path: Path) -> None:
    found = of(tiny, tmp_path / "out")
    assert [one.role for one in found.contestants] == list(FAMILIES)
    assert read_document(tmp_path / "out", COMPARISON_NAME, Comparison) == found
    page = (tmp_path / "out" / PAGE_NAME).read_text()
    for claim in found.claims:
        assert claim.statement.replace("'", "&#39;") in page
    assert page.count("<img") == 1 + 3 + 2  # real data, samples of each, reconstructions of two
    metrics = {one.role: one.metrics for one in found.contestants}
    assert metrics["vae"].keys() - metrics["ae"].keys() >= {"code_bits", "drawn_code_mean_squared_error"}
    assert "code_bits_at_vae_error" in metrics["ae"]
    assert "frechet_own_codes" in metrics["ae"] and "frechet_own_codes" not in metrics["gan"]
    assert all((one.training_seconds or 0.0) > 0.0 for one in found.contestants)
    assert "<script" not in page
    assert "://" not in page


def test_the_same_models_give_the_same_page(tiny: Any, tmp_path: Path) -> None:
    of(tiny, tmp_path / "a")
    of(tiny, tmp_path / "b")
    assert (tmp_path / "a" / PAGE_NAME).read_bytes() == (tmp_path / "b" / PAGE_NAME).read_bytes()


def test_models_of_other_data_or_of_one_kind_are_not_compared(tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="other data"):
        of(tiny, tmp_path / "out", ("gan", "ring"))
    with pytest.raises(ArtifactError, match="same kind"):
        of(tiny, tmp_path / "out", ("gan", "gan"))
    gan, vae = tiny("gan"), tiny("vae")
    with pytest.raises(ArtifactError, match="judges other graphs"):
        compare([gan.bundle, vae.bundle], [vae.report, gan.report], gan.dataset, tmp_path / "crossed")


def test_an_incomplete_report_is_refused(tiny: Any, tmp_path: Path) -> None:
    run = tiny("gan")
    shutil.copytree(run.report, tmp_path / "report")
    (tmp_path / "report" / "verdict.json").unlink()
    with pytest.raises(ArtifactError, match="half-written"):
        compare([run.bundle], [tmp_path / "report"], run.dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source", ["digits", "folder:/pictures"])
def test_contestants_differ_in_nothing_but_the_model(source: str) -> None:
    recipes = contestants(source, {"training.images_seen": 1_000, "data.image_size": 16})
    assert len({recipe.name for recipe in recipes}) == 4
    assert {recipe.data.source for recipe in recipes} == {source}
    assert {recipe.training.images_seen for recipe in recipes} == {1_000}
    coders: list[Any] = [recipe.model for recipe in recipes[1:]]
    assert len({coder.latent_size for coder in coders}) == 1
    assert len({coder.encoder.model_dump_json() for coder in coders}) == 1
    assert [getattr(coder, "beta", None) for coder in coders] == [1.0, None, 0.0]
    gates = [recipe.gate for recipe in recipes[1:]]
    assert len({(gate.samples, gate.seed, gate.detailed_samples) for gate in gates}) == 1
    assert [gate.frechet_floor_multiple is None for gate in gates] == [False, True, False]
    assert gates[1].reconstruction_mean_squared_error is not None and gates[1].smallest_mode_share is None


def test_what_is_of_one_model_alone_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"model\.latent_size"):
        contestants("digits", {"model.latent_size": 8})
    with pytest.raises(ConfigurationError, match="no pictures"):
        contestants("mixture:ring8", {})


def test_the_graph_trains_every_family_on_one_dataset(tmp_path: Path) -> None:
    import yaml
    from kfp import compiler

    from pipelines.comparison import build_comparison

    recipes = contestants("digits", {"training.images_seen": 1_000})
    graph = on_its_own_stack(build_comparison, recipes, image="image@sha256:0")
    compiler.Compiler().compile(graph, str(tmp_path / "graph.yaml"))
    document = next(yaml.safe_load_all((tmp_path / "graph.yaml").read_text()))
    tasks = document["root"]["dag"]["tasks"]
    loop = next(
        task
        for name, task in tasks.items()
        if "parameterIterator" in task and "raw" in task["parameterIterator"]["items"]
    )
    items = json.loads(loop["parameterIterator"]["items"]["raw"])
    assert [item["recipe_title"] for item in items] == [recipe.name for recipe in recipes]
    inner = document["components"][loop["componentRef"]["name"]]["dag"]["tasks"]
    assert set(inner) == {"train-model", "export-model", "evaluate-model"}
    assert {"compare-models", "fit-feature-extractor", "prepare-data"} <= set(tasks)


def test_every_training_is_told_its_comparisons_run() -> None:
    from google.protobuf.json_format import MessageToDict

    from components.environment import PIPELINE_RUN_ID
    from pipelines.comparison import build_comparison

    def training(**known: str) -> tuple[Any, Any]:
        graph = on_its_own_stack(build_comparison, contestants("digits", {}), **known)
        here = MessageToDict(graph.pipeline_spec)["deploymentSpec"]["executors"]["exec-train-model"]
        everywhere = MessageToDict(graph.platform_spec).get("platforms", {}).get("kubernetes", {})
        there = everywhere.get("deploymentSpec", {}).get("executors", {}).get("exec-train-model", {})
        return here["container"].get("env", []), there.get("fieldPathAsEnv", [])

    plain, of_pod = training()
    assert PIPELINE_RUN_ID not in [variable["name"] for variable in plain]
    assert of_pod == [{"name": PIPELINE_RUN_ID, "fieldPath": "metadata.labels['pipeline/runid']"}]
    plain, of_pod = training(run_id="run-7")
    assert {"name": PIPELINE_RUN_ID, "value": "run-7"} in plain
    assert of_pod == []


def test_a_comparisons_training_is_not_shown_live_in_mlflow(tiny_recipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.train.worker import Job, is_shown_live

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    training = Job(recipe=tiny_recipe("ring"), dataset="data", output=Path("out"), pipeline_run_id="run-7")
    assert not is_shown_live(training)
    assert is_shown_live(training.model_copy(update={"model_name": "rings"}))


def test_a_recipe_without_the_kl_is_told_from_one_with_it(tiny: Any, tmp_path: Path) -> None:
    run = tiny("vae")
    shutil.copytree(run.bundle, tmp_path / "bundle")
    recipe = override(recipe_by_name("digits-vae"), {"model.beta": 0.0})
    (tmp_path / "bundle" / "recipe.json").write_text(recipe.model_dump_json())
    found = compare([run.bundle, tmp_path / "bundle"], [run.report, run.report], run.dataset, tmp_path / "out")
    assert [one.role for one in found.contestants] == ["vae", "vae-without-kl"]


def test_the_data_of_the_page_must_be_there(tiny: Any, tmp_path: Path) -> None:
    prepare(DataSettings(), tmp_path / "data")
    (tmp_path / "data" / "manifest.json").unlink()
    run = tiny("gan")
    with pytest.raises(ArtifactError, match="manifest"):
        compare([run.bundle], [run.report], tmp_path / "data", tmp_path / "out")
    assert not (tmp_path / "out" / COMPARISON_NAME).exists()
