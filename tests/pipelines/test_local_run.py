"""One real run of the whole graph on this machine, of a model that must fail the gate."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.revision import code_revision

CHANGES = {
    "training.images_seen": 640,
    "training.log_every_images": 320,
    "model.generator.base_channels": 4,
    "model.discriminator.base_channels": 4,
    "extractor.epochs": 1,
    "extractor.base_channels": 4,
    "gate.samples": 300,
    "gate.importance_samples": 2,
}


@pytest.mark.long
@pytest.mark.timeout(200)
def test_a_run_that_fails_the_gate_leaves_everything_and_moves_no_alias(
    tmp_path: Path, subprocess_environment: dict[str, str]
) -> None:
    out = tmp_path / "out"
    changes = [part for path, value in CHANGES.items() for part in ("--set", f"{path}={value}")]
    run = subprocess.run(
        [sys.executable, "-m", "pipelines.cli.main", "run", "digits-gan-smoke", *changes, "--out", str(out), "--json"],
        env=subprocess_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 3, run.stderr
    assert "Traceback" not in run.stderr
    spoken = json.loads(run.stdout)
    assert spoken["outcome"] == "failed"
    assert "checks failed" in spoken["message"]

    verdict = json.loads((out / "verdict.json").read_text())
    assert verdict == spoken["verdict"]
    assert verdict["passed"] is False
    assert json.loads((out / "metrics.json").read_text())["dataset_name"] == "digits"
    assert "digits-gan-smoke: failed" in (out / "report.html").read_text()
    signature = json.loads((out / "bundle" / "signature.json").read_text())
    assert (out / "bundle" / "generator.onnx").is_file()

    written = json.loads((out / "run.json").read_text())
    assert written["outcome"] == "failed"
    assert written["recipe"]["training"]["images_seen"] == 640
    assert written["work_seconds"].keys() >= {"prepare-data", "train-model", "export-model", "evaluate-model"}
    assert 0 < sum(written["work_seconds"].values()) < written["wall_seconds"]

    # By sqlite alone: what the pipeline's own file says of itself is not asked.
    with sqlite3.connect(tmp_path / "runs" / "mlflow.db") as store:
        versions = store.execute("select name, version, current_stage from model_versions").fetchall()
        aliases = store.execute("select * from registered_model_aliases").fetchall()
        tags = dict(store.execute("select key, value from model_version_tags").fetchall())
        runs = store.execute("select status from runs").fetchall()
    store.close()
    assert [(name, version) for name, version, _ in versions] == [("digits-gan-smoke", 1)]
    assert aliases == []
    assert tags["ganvas.verdict"] == "failed"
    assert tags["ganvas.sampler_sha256"] == signature["graphs"]["generator"]["sha256"]
    assert tags["ganvas.pipeline_run_id"] == signature["lineage"]["pipeline_run_id"] != ""
    assert runs == [("FAILED",)]
    assert tags["ganvas.code_revision"] == signature["lineage"]["code_revision"] == code_revision()
