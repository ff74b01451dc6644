"""One node: this machine, in this process or by torchrun."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from components.train.checkpoint import Checkpoint, read_checkpoint
from components.train.core import Interrupted, require_divisible_batch
from components.train.worker import Job, run_job
from models.errors import TrainingError


def train_here(job: Job) -> Checkpoint:
    """Train with as many processes as the recipe asks for on each node.

    Raises:
        ConfigurationError: if they cannot share the batch.
        TrainingError: if a process failed; its own words stand above in the log.
        GanvasError: whatever training in this process raises.
    """
    processes = job.recipe.resources.processes_per_node or max(1, gpu_count())
    if processes == 1:
        return run_job(job)
    # Said here in one line, before each process would say it in its own way.
    require_divisible_batch(job.recipe, processes)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "job.json"
        path.write_text(job.model_dump_json())
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        code = _run_forwarding_termination([*command, "-m", "components.train.worker", str(path)])
    if code in (128 + signal.SIGTERM, -signal.SIGTERM):
        raise Interrupted(
            f"Training was asked to stop; its last checkpoint is in {job.output}.",
            "Run the same command again to go on.",
        )
    if code != 0:
        raise TrainingError(
            f"Training with {processes} processes ended with code {code}.", "The reason stands above, in its log."
        )
    return read_checkpoint(job.output)


def gpu_count() -> int:
    """Accelerators that this process sees."""
    import torch

    return torch.cuda.device_count()


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
