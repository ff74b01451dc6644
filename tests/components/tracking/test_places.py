"""Links into MLflow's pages."""

from __future__ import annotations

import pytest

from components.tracking.place import run_page


def test_a_page_is_where_people_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_page("http://mlflow.mlflow:5000/", "4", "r1") == "http://mlflow.mlflow:5000/#/experiments/4/runs/r1"
    monkeypatch.setenv("GANVAS_MLFLOW_URL", "https://mlflow.example/")
    assert run_page("http://mlflow.mlflow:5000", "4", "r1") == "https://mlflow.example/#/experiments/4/runs/r1"
    assert run_page("sqlite:///runs/mlflow.db", "4", "r1") == "", "a file has no pages"
