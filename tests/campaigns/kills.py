"""SIGKILL at random moments: what is resumed equals what was never killed, byte for byte.

    make campaign NAME=kills
    python -m tests.campaigns.kills --kills 20 --record docs/benchmarks/kills.md

Each trial trains the digits' GAN in processes of its own, kills all of them when the history has reached a random
moment (and a random few milliseconds more, so that the kill falls anywhere in an update or a checkpoint), starts the
same command again, and compares the hashes of weights and optimizer moments with an uninterrupted run's.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from components.prepare.core import prepare
from components.recipe import Recipe, override
from components.train.checkpoint import Checkpoint, read_checkpoint
from components.train.observer import read_history
from components.train.worker import Job
from pipelines.recipes import recipe_by_name

BUDGET = 2_048
CHANGES = {
    "model.generator.base_channels": 4,
    "model.discriminator.base_channels": 4,
    "training.images_seen": BUDGET,
    "training.log_every_images": 64,
    "training.checkpoint_every_images": 192,
    "training.sample_every_images": 512,
    "training.threads_per_process": 1,
}


def main() -> int:
    """Kill and compare; 0 where every trial ended equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20, help="trials with one process and with two each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    rows, failures = [], 0
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        recipe = override(recipe_by_name("digits-gan"), CHANGES)
        prepare(recipe.data, work / "data")
        for processes in (1, 2):
            whole = _run(recipe, work, f"whole-{processes}", processes)
            for trial in range(arguments.kills):
                name = f"killed-{processes}-{trial}"
                died = _kill(recipe, work, name, processes, dice.randrange(0, BUDGET - 64), dice.random() * 0.05)
                resumed = _run(recipe, work, name, processes)
                equal = (resumed.weights_sha256, resumed.optimizers_sha256) == (
                    whole.weights_sha256,
                    whole.optimizers_sha256,
                )
                failures += not equal
                rows.append(f"| {processes} | {died:,} | {'equal' if equal else '**different**'} |")
                print(rows[-1], flush=True)
    lines = [
        "# SIGKILL at random moments",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; `python -m {__spec__.name} {' '.join(sys.argv[1:])}`; seed {arguments.seed}",
        "",
        f"{len(rows)} trials, {failures} different.",
        "",
        "| processes | images seen at the last report before the kill | resumed against uninterrupted |",
        "|---|---|---|",
        *rows,
        "",
    ]
    if arguments.record:
        arguments.record.write_text("\n".join(lines))
    print(f"{len(rows) - failures} passed, {failures} failed")
    return 1 if failures else 0


def _command(recipe: Recipe, work: Path, name: str, processes: int) -> list[str]:
    job = work / f"{name}.json"
    job.write_text(Job(recipe=recipe, dataset=str(work / "data"), output=work / name).model_dump_json())
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    return [sys.executable, *torchrun, "-m", "components.train.worker", str(job)]


def _run(recipe: Recipe, work: Path, name: str, processes: int) -> Checkpoint:
    subprocess.run(_command(recipe, work, name, processes), check=True, stderr=subprocess.DEVNULL, env=_environment())
    return read_checkpoint(work / name)


def _kill(recipe: Recipe, work: Path, name: str, processes: int, moment: int, later: float) -> int:
    """Images seen at the last report before the kill."""
    process = subprocess.Popen(_command(recipe, work, name, processes), stderr=subprocess.DEVNULL, env=_environment())
    while process.poll() is None:
        history = read_history(work / name)
        if history and history[-1]["images_seen"] >= moment:
            break
        time.sleep(0.002)
    time.sleep(later)
    for pid in [*_children(process.pid), process.pid]:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    if (work / name / "checkpoint.json").exists():
        raise SystemExit("it had finished before the kill: nothing was tried")
    history = read_history(work / name)
    return int(history[-1]["images_seen"]) if history else 0


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1"}


if __name__ == "__main__":
    sys.exit(main())
