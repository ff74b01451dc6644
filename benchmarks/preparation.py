"""Memory and reading speed of prepared data: `make bench NAME=preparation`.

1. Peak memory of preparing 10,000 and 100,000 pictures: of the command itself and of the largest process it starts.
2. Pictures a second that training's batches are made at from memory-mapped shards, beside what training eats.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.record import table, write
from components.prepare.core import prepare
from components.prepare.dataset import read_manifest
from components.recipe import override
from components.train.core import train
from components.train.data import TrainingData
from components.train.observer import read_history
from components.train.processes import Processes
from pipelines.recipes import recipe_by_name

MEASURED = """
import json, resource, sys, time
from pipelines.cli.main import main
started = time.perf_counter()
try:
    main()
except SystemExit as end:
    assert not end.code
# Not ru_maxrss of the process itself: that begins with what whoever started it had.
own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([own / 1024, largest / 1024, time.perf_counter() - started]))
"""


def make(folder: Path, count: int) -> None:
    """Small JPEG files in ten classes; those of a shorter run are among those of a longer one."""
    random = np.random.Generator(np.random.PCG64(0))
    for number in range(count):
        path = folder / str(number % 10) / f"{number}.jpg"
        coarse = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse.resize((48, 48), Image.Resampling.BICUBIC).save(path, quality=85)


def peak_of(folder: Path) -> list[float]:
    """Peak MiB of the command and of its largest process, seconds, rows and rejections."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "data"
        arguments = ["prepare", "--source", f"folder:{folder}", "--out", str(out)]
        settings = ["--set", "data.image_size=32", "--set", "data.channels=3"]
        command = [sys.executable, "-c", MEASURED, *arguments, *settings]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        manifest = read_manifest(out)
    rows = sum(split.rows for split in manifest.splits.values())
    return [*json.loads(said.splitlines()[-1]), rows, manifest.rejected]


def reading_speed(name: str) -> tuple[float, float]:
    """Images a second that batches are made at, and that training eats."""
    recipe = override(recipe_by_name(name), {"training.images_seen": 12_800, "training.log_every_images": 3_200})
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        prepare(recipe.data.model_copy(update={"shard_rows": 1_000}), place / "data")
        train(recipe, place / "data", place / "out")
        eaten = statistics.median(row["images_per_second"] for row in read_history(place / "out"))
        data = TrainingData(place / "data", recipe, Processes(0, 1, torch.device("cpu")))
        speeds = []
        for _ in range(5):
            started = time.perf_counter()
            for update in range(400):
                data.batches(update * recipe.training.batch_size, recipe.training.batch_size, 0)
            speeds.append(400 * recipe.training.batch_size / (time.perf_counter() - started))
    return statistics.median(speeds), eaten


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--recipe", default="digits-gan")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for count in sorted(options.pictures):
            make(Path(directory), count)
            own, largest, seconds, accepted, rejected = peak_of(Path(directory))
            rows.append(
                (f"{count:,}", f"{own:.0f}", f"{largest:.0f}", f"{seconds:.0f}", f"{accepted:,.0f}", f"{rejected:.0f}")
            )
            print(rows[-1], flush=True)
    growth = ", ".join(
        f"{float(last) / float(first) - 1:+.0%}" for first, last in zip(rows[0][1:3], rows[-1][1:3], strict=True)
    )
    reading, eaten = reading_speed(options.recipe)
    header = ("pictures", "command, MiB", "largest process, MiB", "seconds", "accepted", "left out")
    body = (
        f"{table(header, rows)}\n\nGrowth of the peaks from the first to the last row: {growth} (aim: within 15 %).\n\n"
        f"Batches of {options.recipe} are made from memory-mapped shards of 1,000 rows at {reading:,.0f} images a "
        f"second; training eats {eaten:,.0f} a second on this CPU: **{reading / eaten:.0f} times** (aim: 20)."
    )
    print(body)
    write("preparation", "Preparing data", "make bench NAME=preparation", body)


if __name__ == "__main__":
    main()
