"""The command line: exit codes, one clear line, one JSON document."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.evaluate.registered import Reference, parse_reference
from pipelines.cli.main import main
from pipelines.recipes import RECIPES, recipe_by_name
from tests.pipelines.commands import Ganvas, assert_one_error

IMAGE = "registry.example/ganvas@sha256:" + "0" * 64
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # kfp's own


def test_recipes_lists_them_all(ganvas: Ganvas) -> None:
    said = ganvas("recipes", "--json")
    assert said.code == 0
    assert [entry["name"] for entry in json.loads(said.out)] == list(RECIPES)
    assert "digits-gan" in ganvas("recipes").out


@pytest.mark.parametrize("name", RECIPES)
def test_show_prints_the_recipe_that_would_run(ganvas: Ganvas, name: str) -> None:
    said = ganvas("show", name, "--json", "--set", "seed=7")
    assert json.loads(said.out) == {**recipe_by_name(name).model_dump(mode="json"), "seed": 7}


def test_show_lists_every_field_that_can_be_set(ganvas: Ganvas) -> None:
    said = ganvas("show", "digits-gan")
    assert said.code == 0
    assert "images_seen" in said.out


def test_what_is_shown_into_a_pipe_is_whole(ganvas: Ganvas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    source = "s3://a-bucket/" + "/".join(f"prefix-{number}" for number in range(40))
    row = next(
        line
        for line in ganvas("show", "images-gan", "--set", f"data.source={source}").out.splitlines()
        if "data.source" in line
    )
    assert f" {source} " in row
    assert "torchvision:MNIST" in row  # the field's meaning, to its end
    assert ganvas("recipes").out.count("\n") == len(RECIPES) + 4


@pytest.mark.parametrize("command", [["show"], ["run"], ["compile", "--image", IMAGE, "-o", "x.yaml"]])
def test_an_unknown_recipe_names_the_nearest(ganvas: Ganvas, command: list[str]) -> None:
    assert_one_error(ganvas(*command, "digits-gam"), 2, "digits-gam", "digits-gan")


@pytest.mark.parametrize("command", ["show", "run"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("training.image_seen=5", ["training.image_seen", "images_seen"]),
        ("training.images_seen=0", ["training.images_seen", "greater than 0", "not 0"]),
        ("model.latent_size=many", ["model.latent_size", "many"]),
        ("gate.mode_kl_samples_to_data_nats=NaN", ["NaN"]),
        ("seed", ["--set seed"]),
    ],
)
def test_a_wrong_setting_is_wrong_use(ganvas: Ganvas, command: str, change: str, words: list[str]) -> None:
    assert_one_error(ganvas(command, "digits-gan", "--set", change), 2, *words)
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "digits-gan", "--seed", "3", "--set", "seed=4"], ["seed", "3", "4"]),
        (["show", "digits-gan", "--set", "seed=3", "--set", "seed=4"], ["seed", "3", "4"]),
        (["prepare", "--source", "digits", "--set", "data.source=mixture:ring8", "--out", "o"], ["digits", "ring8"]),
        (["train", "--data", "d", "--out", "o", "--nproc", "2", "--set", "resources.processes_per_node=3"], ["2", "3"]),
        (["compare", "digits", "--seed", "1", "--set", "seed=2"], ["1", "2"]),
    ],
)
def test_a_field_given_twice_names_both_values(ganvas: Ganvas, arguments: list[str], words: list[str]) -> None:
    assert_one_error(ganvas(*arguments), 2, "twice", *words)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "digits-gan", "--seed", "x"],
        ["run", "digits-gan", "--runner", "magic"],
        ["train", "--data", "d", "--out", "o", "--resume", "perhaps"],
        ["train", "--data", "d", "--out", "o", "--nproc", "-1"],
    ],
)
def test_wrong_use_ends_with_code_2(ganvas: Ganvas, arguments: list[str]) -> None:
    said = ganvas(*arguments)
    assert said.code == 2
    assert said.out + said.err


@pytest.mark.parametrize("command", ["prepare", "run", "train", "export", "evaluate"])
def test_an_output_that_cannot_be_written_is_one_line(ganvas: Ganvas, tiny: Any, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").write_text("")
    run = tiny("ring")
    arguments = {
        "prepare": ["--source", "digits"],
        "run": ["digits-gan"],
        "train": ["--data", run.dataset, "--recipe", "ring-gan"],
        "export": ["--checkpoint", run.checkpoint],
        "evaluate": ["--bundle", run.bundle, "--data", run.dataset],
    }[command]
    assert_one_error(ganvas(command, *arguments, "--out", tmp_path / "file" / "out"), 1, "Cannot write", "--out")


@pytest.mark.parametrize(
    ("arguments", "document"),
    [
        (["train", "--data"], "manifest.json"),
        (["export", "--checkpoint"], "checkpoint.json"),
        (["evaluate", "--data", "x", "--bundle"], "signature.json"),
    ],
)
def test_a_half_written_artifact_is_refused_by_name(
    ganvas: Ganvas, tmp_path: Path, arguments: list[str], document: str
) -> None:
    half = tmp_path / "half"
    half.mkdir()
    (half / "shards").write_bytes(b"some")
    assert_one_error(ganvas(*arguments, half, "--out", tmp_path / "out"), 1, str(half), "half-written", document)


def test_a_closed_tracking_server_is_noticed_before_anything_is_done(
    ganvas: Ganvas, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    said = ganvas("run", "digits-gan", "--out", tmp_path / "out")
    assert_one_error(said, 1, "http://127.0.0.1:9", "MLFLOW_TRACKING_URI")
    assert list((tmp_path / "out").rglob("*")) == []


def test_the_steps_one_by_one_print_one_json_document_each(ganvas: Ganvas, tmp_path: Path) -> None:
    small = ["--set", "model.generator.hidden_width=8", "--set", "model.discriminator.hidden_width=8"]
    small += [
        "--set",
        "training.images_seen=512",
        "--set",
        "gate.samples=200",
        "--set",
        "training.threads_per_process=1",
    ]
    data, checkpoint, bundle, report = (tmp_path / name for name in ("data", "checkpoint", "bundle", "report"))

    def spoken(code: int, *arguments: object) -> Any:
        said = ganvas(*arguments, "--json")
        assert said.code == code, said.err
        return json.loads(said.out)

    rows = ["--set", "data.rows=3000"]
    manifest = spoken(0, "prepare", "--source", "mixture:ring8", "--recipe", "ring-gan", *rows, "--out", data)
    assert sum(split["rows"] for split in manifest["splits"].values()) == 3_000
    trained = spoken(0, "train", "--recipe", "ring-gan", *small, "--data", data, "--out", checkpoint, "--seed", 5)
    assert (trained["recipe"]["seed"], trained["images_seen"]) == (5, 512)
    signature = spoken(0, "export", "--checkpoint", checkpoint, "--out", bundle)
    assert signature["lineage"]["seed"] == 5
    verdict = spoken(3, "evaluate", "--bundle", bundle, "--data", data, "--out", report)  # as good as untrained
    assert verdict["passed"] is False
    assert verdict["limits_source"] == "recipe ring-gan"
    assert {"report.html", "metrics.json", "verdict.json"} <= {path.name for path in report.iterdir()}
    (tmp_path / "lenient.json").write_text("{}")
    again = ["--extractor", report / "extractor", "--limits", tmp_path / "lenient.json", "--out", tmp_path / "lenient"]
    assert spoken(0, "evaluate", "--bundle", bundle, "--data", data, *again)["passed"] is True
    for said in (
        ganvas("prepare", "--source", "digits", "--out", data),
        ganvas("export", "--checkpoint", checkpoint, "--out", bundle),
    ):
        assert_one_error(said, 1, "finished")


@pytest.mark.parametrize("image", ["ganvas:latest", "registry.example/ganvas", "ganvas@sha256:123"])
@pytest.mark.parametrize("command", ["compile", "submit"])
def test_an_image_that_may_change_is_refused(ganvas: Ganvas, image: str, command: str, tmp_path: Path) -> None:
    arguments = ["-o", tmp_path / "x.yaml"] if command == "compile" else ["--host", "http://127.0.0.1:9"]
    assert_one_error(ganvas(command, "digits-gan", "--image", image, *arguments), 2, image, "--allow-mutable-image")
    assert not (tmp_path / "x.yaml").exists()


def test_compile_writes_the_graph_and_a_mutable_image_only_if_allowed(ganvas: Ganvas, tmp_path: Path) -> None:
    assert ganvas("compile", "ring-gan", "--image", IMAGE, "-o", tmp_path / "a.yaml").code == 0
    mutable = ["--image", "ganvas:test", "--allow-mutable-image"]
    assert ganvas("compile", "ring-gan", *mutable, "-o", tmp_path / "b.yaml").code == 0
    first, second = ((tmp_path / name).read_text() for name in ("a.yaml", "b.yaml"))
    assert first.replace(IMAGE, "ganvas:test").count("ganvas:test") == second.count("ganvas:test") == 10
    assert next(yaml.safe_load_all(second))["pipelineInfo"]["name"] == "ganvas-train-and-promote"


@pytest.mark.parametrize("command", ["compile", "submit"])
def test_a_store_that_pods_cannot_share_is_refused(ganvas: Ganvas, command: str, tmp_path: Path) -> None:
    arguments = ["-o", tmp_path / "x.yaml"] if command == "compile" else ["--host", "http://127.0.0.1:9"]
    said = ganvas(command, "ring-gan", "--image", IMAGE, "--tracking-uri", "sqlite:///runs/mlflow.db", *arguments)
    assert_one_error(said, 2, "--tracking-uri", "sqlite:///runs/mlflow.db")
    said = ganvas(command, "ring-gan", "--image", IMAGE, "--training-hours", "0", *arguments)
    assert_one_error(said, 2, "--training-hours 0")
    assert not (tmp_path / "x.yaml").exists()


def test_a_comparison_is_compiled_and_its_images_go_nowhere_else(ganvas: Ganvas, tmp_path: Path) -> None:
    compare = ("compare", "digits", "--image", IMAGE)
    assert ganvas(*compare, "--compile", tmp_path / "c.yaml", "--accelerators", "1").code == 0
    text = (tmp_path / "c.yaml").read_text()
    assert text.count(IMAGE) >= 8
    assert "nvidia.com/gpu" in text
    assert ganvas(*compare).code == 2, "without a file there is no cluster"
    assert ganvas("compare", "digits", "--image", "x:latest", "--compile", tmp_path / "d.yaml").code == 2
    assert not (tmp_path / "d.yaml").exists()


def test_compile_tells_the_steps_which_store(ganvas: Ganvas, tmp_path: Path) -> None:
    uri = "http://mlflow.mlflow:5000"
    assert ganvas("compile", "ring-gan", "--image", IMAGE, "--tracking-uri", uri, "-o", tmp_path / "x.yaml").code == 0
    assert (tmp_path / "x.yaml").read_text().count(uri) == 6  # GANVAS_CLUSTER says it too


@pytest.mark.filterwarnings("ignore::UserWarning")  # mlflow's own
def test_a_bundle_is_judged_beside_the_champion_and_promoted_only_past_that_one(
    ganvas: Ganvas, tiny: Any, tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    run, limits = tiny("ring"), tmp_path / "limits.json"
    limits.write_text('{"samples": 200, "non_inferiority_margin": 1000}')
    judging = ["evaluate", "--bundle", run.bundle, "--data", run.dataset, "--extractor", run.extractor]
    judging += ["--limits", limits, "--json"]

    def judged(name: str, *arguments: object) -> dict[str, Any]:
        assert ganvas(*judging, "--out", tmp_path / name, *arguments).code == 0
        document: dict[str, Any] = json.loads((tmp_path / name / "metrics.json").read_text())
        return document

    def promoted(name: str) -> Any:
        said = ganvas("promote", "--bundle", run.bundle, "--report", tmp_path / name, "--model-name", "rings", "--json")
        assert said.code == 0, said.err
        return json.loads(said.out)["alias"]

    assert judged("early", "--model-name", "rings")["champion_seen"] is None
    assert promoted("early") == "champion"
    assert judged("elsewhere")["champion_seen"] is None  # the recipe's own name has no champion
    assert promoted("elsewhere") == "challenger"
    late = judged("late", "--model-name", "rings")
    assert (late["champion_seen"], late["champion_version"]) == ("1", "1")
    assert promoted("late") == "champion"
    assert late["registered_version"] == ""
    judging[2] = "models:/rings@champion"
    champion = judged("champion")
    assert (champion["registered_version"], champion["champion_seen"]) == ("models:/rings/3", "3")
    assert champion["samples_sha256"] == late["samples_sha256"]
    assert "models:/rings/3" in (tmp_path / "champion" / "report.html").read_text()
    for wrong, words in {
        "models:/rings@canary": ("rings has no alias canary", "challenger (version 2)", "champion (version 3)"),
        "models:/rings/9": ("rings has no version 9", "champion (version 3)"),
        "models:/arcs@champion": ("No model is registered as arcs",),
    }.items():
        judging[2] = wrong
        assert_one_error(ganvas(*judging, "--out", tmp_path / "wrong"), 1, *words)
    assert not (tmp_path / "wrong").exists()


def test_a_registered_model_without_a_store_or_a_version_is_one_line(
    ganvas: Ganvas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none.db'}")
    judging = ["--data", tmp_path, "--out", tmp_path / "out"]
    said = ganvas("evaluate", "--bundle", "models:/rings@champion", *judging)
    assert_one_error(said, 1, "models:/rings@champion", "none.db", "MLFLOW_TRACKING_URI")
    for wrong in ("models:/rings", "models:/rings/", "models:/rings/champion", "models:/@champion", "models:/rings@"):
        assert_one_error(ganvas("evaluate", "--bundle", wrong, *judging), 2, f"{wrong} names no version", "NAME@ALIAS")
    assert list(tmp_path.glob("none.db")) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("models:/rings/12", Reference("rings", version="12")),
        ("models:/rings@champion", Reference("rings", alias="champion")),
        ("models:/a@b/3", Reference("a@b", version="3")),
        ("models:/a@b@canary", Reference("a@b", alias="canary")),
    ],
)
def test_a_version_is_named_by_its_number_or_an_alias(text: str, named: Reference) -> None:
    assert parse_reference(text) == named


def test_an_exported_bundle_names_the_code(ganvas: Ganvas, tiny: Any, tmp_path: Path) -> None:
    from pipelines.revision import code_revision

    said = ganvas("export", "--checkpoint", tiny("ring").checkpoint, "--out", tmp_path / "bundle", "--json")
    assert json.loads(said.out)["lineage"]["code_revision"] == code_revision()


def test_a_graph_that_cannot_be_written_is_wrong_use(ganvas: Ganvas, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = ganvas("compile", "ring-gan", "--image", IMAGE, "-o", tmp_path / "file" / "x.yaml")
    assert_one_error(said, 2, "Cannot write", "-o")


def test_doctor_says_of_every_part_whether_it_works(ganvas: Ganvas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no container engine: its client leaves sockets open
    said = ganvas("doctor", "--json")
    assert said.code == 0
    findings = {finding["name"]: finding for finding in json.loads(said.out)}
    assert findings["CPU training"]["works"]
    assert findings["onnxruntime"]["works"]
    assert findings["Kubeflow Pipelines"]["works"]
    assert all(finding["works"] or finding["remedy"] for finding in findings.values())
    assert "S3" not in findings  # nothing here reads it
    assert not findings["Containers"]["works"]
    assert ganvas("doctor").code == 0


def test_doctor_explains_a_closed_tracking_server(ganvas: Ganvas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    (mlflow,) = (found for found in json.loads(ganvas("doctor", "--json").out) if found["name"] == "MLflow")
    assert not mlflow["works"]
    assert "MLFLOW_TRACKING_URI" in mlflow["remedy"]


def test_the_process_ends_with_the_errors_code_and_without_a_traceback(
    subprocess_environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "pipelines.cli.main"]
    wrong = subprocess.run(
        [*command, "show", "digits-gam"], env=subprocess_environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert wrong.returncode == 2
    assert wrong.stdout == ""
    assert wrong.stderr.startswith("error:")
    assert len(wrong.stderr.strip().splitlines()) == 1
    right = subprocess.run(
        [*command, "recipes", "--json"], env=subprocess_environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert right.returncode == 0
    assert len(json.loads(right.stdout)) == len(RECIPES)


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), 1, "No space left on device. Make room"),
    ],
)
def test_an_interruption_and_a_full_disk_are_one_line(
    raised: BaseException,
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def end(*_: object) -> None:
        raise raised

    monkeypatch.setattr("components.prepare.core.prepare", end)
    monkeypatch.setattr(sys, "argv", ["ganvas", "prepare", "--source", "digits", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == code
    said = capsys.readouterr().err
    assert words in said
    assert len(said.strip().splitlines()) == 1
