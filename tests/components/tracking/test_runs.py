"""One pipeline run is one MLflow run, under whatever name its steps look for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.conclude.core import conclude
from components.tracking import Tracking


@pytest.fixture
def store(tmp_path: Path) -> Tracking:
    return Tracking(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_run_opened_under_the_compiled_name_is_found_under_the_runs_own(store: Tracking) -> None:
    opened = store.run_for("compiled", "run-1")
    assert store.run_for("given", "run-1") == opened
    assert store.run_for("given", "run-2") != opened


@pytest.mark.parametrize(
    ("state", "end"), [("SUCCEEDED", "FINISHED"), ("FAILED", "FAILED"), ("CANCELED", "KILLED"), ("RUNNING", "FAILED")]
)
def test_what_was_left_open_ends_as_the_engine_says(store: Tracking, state: str, end: str) -> None:
    opened = store.run_for("name", "run-1")
    conclude("run-1", state, "", store)
    assert store.client.get_run(opened).info.status == end
