"""The launcher's sign of life: renewed while it watches, and without it the nodes stop with a checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from components.environment import JOB
from components.recipe import override
from components.storage import FileStorage
from components.train.durable import open_durable
from components.train.launcher_mark import renewed_mark, silent_seconds
from components.train.node import run_node
from components.train.worker import Job
from models.errors import TrainingError


def put_mark(place: Path, text: str) -> None:
    (place / "launcher").mkdir(parents=True, exist_ok=True)
    (place / "launcher" / "launcher.json").write_text(text)


def test_it_is_renewed_while_the_launcher_watches_and_no_longer(tmp_path: Path) -> None:
    place, seen = FileStorage(tmp_path), set()
    deadline = time.monotonic() + 20.0
    with renewed_mark(place, 0.01):
        while len(seen) < 3 and time.monotonic() < deadline:
            seen.add((tmp_path / "launcher" / "launcher.json").read_text())
    assert len(seen) == 3
    assert 0.0 <= (silent_seconds(place) or -1.0) < 20.0
    place.remove("launcher")
    time.sleep(0.05)
    assert place.directories() == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"renewed_at": "yesterday"}', None])
def test_a_mark_that_says_nothing_stops_nobody(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        put_mark(tmp_path, text)
    assert silent_seconds(FileStorage(tmp_path)) is None


@pytest.fixture
def job(tiny: Any, tmp_path: Path) -> Job:
    run = tiny("ring")
    recipe = override(run.recipe, {"training.images_seen": 10**8, "training.log_every_images": 640})
    fingerprint = json.loads((run.dataset / "manifest.json").read_text())["fingerprint"]
    return Job(
        recipe=recipe,
        dataset=str(run.dataset),
        output=Path("unused"),
        checkpoint_uri=f"file://{tmp_path}",
        pipeline_run_id="run-7",
        hand_over=True,
        launcher_timeout_seconds=3.0,
        dataset_fingerprint=fingerprint,
    )


def test_a_node_that_is_started_for_nobody_ends_at_once(job: Job, tmp_path: Path) -> None:
    open_durable(job.checkpoint_uri, job.recipe, job.dataset_fingerprint, "run-7").push(tmp_path, "made")
    (place,) = tmp_path.glob("*-run-7")
    put_mark(place, json.dumps({"renewed_at": time.time() - 6.0}))
    with pytest.raises(TrainingError, match="has been silent for 6 s"):
        run_node(job)


def test_a_node_whose_launcher_falls_silent_writes_a_checkpoint_and_fails(
    job: Job, tmp_path: Path, subprocess_environment: dict[str, str]
) -> None:
    """By torchrun and its worker, as on a cluster: a signal's way through both is what is shown."""
    place = open_durable(job.checkpoint_uri, job.recipe, job.dataset_fingerprint, "run-7")
    torchrun = {"PET_NNODES": "1", "PET_NPROC_PER_NODE": "1", "PET_NODE_RANK": "0", "PET_MASTER_ADDR": "127.0.0.1"}
    with renewed_mark(place, 0.1):
        node = subprocess.Popen(
            [sys.executable, "-m", "components.train.node"],
            env={**subprocess_environment, **torchrun, "PET_MASTER_PORT": "0", JOB: job.model_dump_json()},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert node.stderr is not None
        told = next((line for line in node.stderr if " images " in line), "")
    assert "640 images" in told  # it trains, and from here on nobody watches
    try:
        _, rest = node.communicate(timeout=120)
    finally:
        node.kill()
    assert node.returncode == 1, rest
    assert "error: The step that launched this training has been silent for" in rest.splitlines()[-1]
    assert any(name.isdigit() for name in place.directories())
