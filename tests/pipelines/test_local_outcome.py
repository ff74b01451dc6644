"""What a local run is said to have come to: only what its steps left behind counts, never the engine's word."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import alone_in
from components.compare.documents import COMPARISON_NAME
from components.step import ERROR_MARK
from components.tracking import Tracking
from models.errors import ArtifactError, GanvasError, TrackingError
from pipelines import local, local_comparison
from pipelines.local import LocalRun, Progress, champion_hint, run_locally
from pipelines.recipes import recipe_by_name
from pipelines.stages import STAGES
from pipelines.stopping import Stopped
from tests.pipelines.own_stack import on_its_own_stack

Ends = Callable[..., LocalRun]


@pytest.fixture
def ends(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_store: Callable[[Path], str]) -> Ends:
    """A run whose engine leaves what a test says: the verdict, promotion's result, a reason, its own opinion."""

    def run(
        *,
        passed: bool,
        promoted: str | None,
        succeeded: bool,
        reason: str = "",
        begun: list[str] | None = None,
        stopped_by: int | None = None,
    ) -> LocalRun:
        def execute(recipe: Any, root: Path, runner: str, stream: Any) -> bool:
            tasks = root / "ganvas-train-and-promote-1"
            shutil.copytree(tiny("ring").report, tasks / "evaluate-model" / "report")
            verdict = tasks / "evaluate-model" / "report" / "verdict.json"
            verdict.write_text(json.dumps(json.loads(verdict.read_text()) | {"passed": passed}))
            shutil.copytree(tiny("ring").bundle, tasks / "export-model" / "bundle")
            promotion = tasks / "promote-model"
            promotion.mkdir()
            if promoted is not None:
                (promotion / "promotion").write_text("rings version 1\n")
                said = {"artifacts": {"promotion": {"artifacts": [{"metadata": {"alias": promoted}}]}}}
                (promotion / "executor_output.json").write_text(json.dumps(said))
            if begun is not None:
                new_store(tmp_path / "mlflow.db")
                begun.append(Tracking().run_for("rings", stream.run_id))
            stream.stopped_by = stopped_by
            if reason:
                stream.write(f"{ERROR_MARK}{reason}\n")
            return succeeded

        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        monkeypatch.setenv("GANVAS_CODE_REVISION", "test")
        monkeypatch.setattr(local, "execute", execute)
        (tmp_path / "out").mkdir()
        quiet = Progress(lambda name: None, lambda name, line: None, lambda name, succeeded: None)
        return run_locally(tiny("ring").recipe, tmp_path / "out", "subprocess", quiet)

    return run


def written(tmp_path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((tmp_path / "out" / "run.json").read_text())
    return document


@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_a_model_that_passed_and_was_registered_passed(ends: Ends, alias: str) -> None:
    run = ends(passed=True, promoted=alias, succeeded=True)
    assert (run.outcome, run.alias) == ("passed", alias)
    assert ("ganvas serve" in champion_hint(run)) is (alias == "champion")


def test_a_model_that_failed_and_was_registered_failed(ends: Ends) -> None:
    run = ends(passed=False, promoted="", succeeded=False, reason="2 of 3 checks failed")
    assert (run.outcome, run.message) == ("failed", "2 of 3 checks failed")


def test_a_failed_verdict_that_could_not_be_registered_is_an_error(ends: Ends, tmp_path: Path) -> None:
    with pytest.raises(GanvasError, match="MLflow at http"):
        ends(passed=False, promoted=None, succeeded=False, reason="MLflow at http://x does not answer")
    assert written(tmp_path)["outcome"] == "error"
    assert (tmp_path / "out" / "report.html").is_file()


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # mlflow's own
def test_a_run_that_ends_with_an_error_is_not_left_open_in_mlflow(ends: Ends) -> None:
    begun: list[str] = []
    with pytest.raises(GanvasError, match="no room"):
        ends(passed=True, promoted=None, succeeded=False, reason="no room on the disk", begun=begun)
    left = Tracking().client.get_run(begun[0])
    assert left.info.status == "FAILED"
    assert left.data.tags["ganvas.ended_by"] == "FAILED: no room on the disk"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_was_stopped_says_how_to_go_on(ends: Ends, tmp_path: Path, number: int, code: int) -> None:
    with pytest.raises(Stopped, match=f"same command with --out {tmp_path / 'out'}") as stopped:
        ends(passed=True, promoted=None, succeeded=False, reason="asked to stop", stopped_by=number)
    assert stopped.value.exit_code == code
    assert not (tmp_path / "out" / "run.json").exists()
    local.require_ready(tmp_path / "out")


@pytest.mark.parametrize(("passed", "outcome"), [(True, "passed"), (False, "failed")])
def test_a_signal_that_came_too_late_changes_nothing(ends: Ends, passed: bool, outcome: str) -> None:
    run = ends(passed=passed, promoted="", succeeded=passed, stopped_by=signal.SIGTERM)
    assert run.outcome == outcome


@pytest.mark.parametrize("passed", [True, False])
def test_a_promotion_that_left_nothing_did_not_happen_whatever_the_engine_says(
    ends: Ends, tmp_path: Path, passed: bool
) -> None:
    with pytest.raises(GanvasError, match="no version was registered"):
        ends(passed=passed, promoted=None, succeeded=True)
    assert written(tmp_path)["outcome"] == "error"


def test_a_directory_is_one_runs_alone(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path, local.LOCK_NAME),
        pytest.raises(ArtifactError, match="Another run is going on"),
        alone_in(tmp_path, local.LOCK_NAME),
    ):
        pass
    with alone_in(tmp_path, local.LOCK_NAME):
        pass


def test_a_run_and_a_comparison_keep_out_of_each_others_directories(tmp_path: Path) -> None:
    begun = tmp_path / local.PIPELINE_DIRECTORY / "ganvas-compare-2026-11-23"
    begun.mkdir(parents=True)
    (tmp_path / local.LOG_NAME).touch()
    with pytest.raises(ArtifactError, match="is not ganvas-train-and-promote's"):
        local.require_ready(tmp_path)
    local.refuse_other_graph(tmp_path, "ganvas-compare")


@pytest.mark.parametrize(
    ("module", "document", "make"),
    [
        (local, local.RUN_NAME, partial(run_locally, recipe_by_name("ring-gan"))),
        (local_comparison, COMPARISON_NAME, partial(local_comparison.compare_locally, [])),
    ],
)
def test_what_another_run_finished_meanwhile_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Any, document: str, make: Callable[..., Any]
) -> None:
    @contextmanager
    def late(directory: Path, name: str) -> Iterator[None]:
        """The lock, had only after another run has ended."""
        (directory / document).write_text("{}")
        with alone_in(directory, name):
            yield

    monkeypatch.setattr(module, "alone_in", late)
    silent = Progress(lambda _: None, lambda *_: None, lambda *_: None)
    with pytest.raises(ArtifactError, match="already holds a finished"):
        make(tmp_path, "subprocess", silent)
    assert not (tmp_path / local.LOG_NAME).exists()


def test_a_foreign_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "signature.json").write_text("{}")
    with pytest.raises(ArtifactError, match="holds no run"):
        local.require_ready(tmp_path)


def test_a_run_that_ended_with_an_error_can_be_gone_on_with(tmp_path: Path) -> None:
    def leave(outcome: str) -> None:
        recipe = recipe_by_name("ring-gan").model_dump(mode="json")
        run = {"schema_version": 1, "recipe": recipe, "outcome": outcome, "wall_seconds": 1.0}
        (tmp_path / "pipeline.log").touch()
        (tmp_path / "run.json").write_text(json.dumps({**run, "work_seconds": {}, "overhead_seconds": 1.0}))

    leave("error")
    local.require_ready(tmp_path)
    assert not (tmp_path / "run.json").exists()
    assert (tmp_path / "run.failed.json").exists()
    leave("passed")
    with pytest.raises(ArtifactError, match="finished"):
        local.require_ready(tmp_path)


def test_a_broken_store_is_noticed_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "mlflow.db"
    broken.write_bytes(b"not a database, but long enough to be taken for one" * 40)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{broken}")
    with pytest.raises(TrackingError, match="cannot be read"):
        local.require_ready(tmp_path / "out")


def test_each_container_that_asks_mlflow_is_told_where_it_is_by_its_task(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kfp's runner gives a task that has variables of its own, as training has, none of the runner's."""
    from kfp import compiler
    from yaml import safe_load

    def execute(build: Callable[..., Any], root: Path, runner: str, stream: Any) -> bool:
        pipeline = on_its_own_stack(build, retries=0, run_id="run", image="image")
        compiler.Compiler().compile(pipeline, str(tmp_path / "graph.yaml"))
        return False

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    monkeypatch.setenv("GANVAS_CODE_REVISION", "test")
    monkeypatch.setattr(local, "execute", execute)
    (tmp_path / "out").mkdir()
    quiet = Progress(lambda name: None, lambda name, line: None, lambda name, succeeded: None)
    with pytest.raises(GanvasError, match="A step ended"):
        run_locally(tiny("ring").recipe, tmp_path / "out", "docker", quiet)
    executors = safe_load((tmp_path / "graph.yaml").read_text())["deploymentSpec"]["executors"]
    told = {
        name
        for name, executor in executors.items()
        if {"name": "MLFLOW_TRACKING_URI", "value": "http://127.0.0.1:5000"} in executor["container"].get("env", [])
    }
    assert told == {f"exec-{stage.task}" for stage in STAGES if stage.asks_mlflow}
