"""Starts training's processes: in this one, or by torchrun on this machine."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from components.prepare.fetch import is_remote
from components.recipe import Recipe
from components.train.checkpoint import Checkpoint, read_checkpoint
from models.errors import ConfigurationError, TrainingError


def launch_training(
    recipe: Recipe,
    dataset: Path | str,
    output: Path,
    *,
    resume: Literal["auto", "never"] = "auto",
    init_from: Path | None = None,
    checkpoint_uri: str = "",
    model_name: str = "",
    pipeline_run_id: str = "",
) -> Checkpoint:
    """Train with as many processes as the recipe's resources ask for.

    ``dataset`` is a directory, or the URI of one that is fetched first, such as ``s3://bucket/prefix``.

    Raises:
        ConfigurationError: if more than one node is asked for; that needs a cluster's Kubeflow Trainer.
        TrainingError: if a process failed; its own words stand above in the log.
        GanvasError: whatever training in this process raises.
    """
    from components.train.core import Interrupted, require_divisible_batch
    from components.train.worker import Job, run_job

    if recipe.resources.nodes > 1:
        raise ConfigurationError(
            f"resources.nodes={recipe.resources.nodes}: training on several machines is not available yet.",
            "Use one node with resources.processes_per_node processes.",
        )
    job = Job(
        recipe=recipe,
        dataset=str(dataset) if is_remote(str(dataset)) else str(Path(dataset).resolve()),
        output=output.resolve(),
        resume=resume,
        init_from=init_from,
        checkpoint_uri=checkpoint_uri,
        model_name=model_name,
        pipeline_run_id=pipeline_run_id,
    )
    processes = recipe.resources.processes_per_node or _gpu_count()
    if processes == 1:
        return run_job(job)
    # Said here in one line, before each process would say it in its own way.
    require_divisible_batch(recipe, processes)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "job.json"
        path.write_text(job.model_dump_json())
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        code = _run_forwarding_termination([*command, "-m", "components.train.worker", str(path)])
    if code in (128 + signal.SIGTERM, -signal.SIGTERM):
        raise Interrupted(
            "Training was asked to stop; its last checkpoint is in " + str(output) + ".",
            "Run the same command again to go on.",
        )
    if code != 0:
        raise TrainingError(
            f"Training with {processes} processes ended with code {code}.", "The reason stands above, in its log."
        )
    return read_checkpoint(output)


def _run_forwarding_termination(command: list[str]) -> int:
    """The command's exit code. A SIGTERM to this process is handed on, so that nobody trains on as an orphan."""
    process = subprocess.Popen(command)
    asked = False

    def hand_on(number: int, _: object) -> None:
        nonlocal asked
        asked = True
        process.send_signal(number)

    try:
        previous = signal.signal(signal.SIGTERM, hand_on)
    except ValueError:  # not the main thread: whoever owns it handles signals
        return process.wait()
    try:
        code = process.wait()
    finally:
        signal.signal(signal.SIGTERM, previous)
    return 128 + signal.SIGTERM if asked and code != 0 else code


def _gpu_count() -> int:
    import torch

    return max(1, torch.cuda.device_count())
