"""Memory and time of a judgement against the number of samples: `make bench NAME=judging`.

One model of the recipe ``digits-gan`` after a little training, its Dataset, its extractor; every number that the gate
asks for, in a process of its own for each number of samples. Features are held of as many samples as the recipe holds
at most (``detailed_samples``): up to there memory grows with them, and from there on it does not.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.record import table, write
from components.evaluate.measure import measure
from components.evaluate.reference import reference_of
from components.export.bundle import read_bundle
from components.extractor.core import fit_extractor
from components.extractor.reader import read_extractor
from components.prepare.dataset import read_manifest
from pipelines.recipes import recipe_by_name

RECIPE = "digits-gan"
SAMPLES = (10_000, 20_000, 30_000, 50_000)
ROOT = Path(__file__).parent.parent


def make(work: Path) -> None:
    """The Dataset, the extractor and the model."""

    def ganvas(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "pipelines.cli.main", *arguments], cwd=work, check=True)

    ganvas("prepare", "--source", "digits", "--out", "data")
    ganvas("train", "--recipe", RECIPE, "--data", "data", "--out", "checkpoint", "--set", "training.images_seen=4000")
    ganvas("export", "--checkpoint", "checkpoint", "--out", "bundle")
    recipe = recipe_by_name(RECIPE)
    fit_extractor(recipe.extractor, recipe.seed, work / "data", work / "extractor")


def judge(work: Path, samples: int) -> None:
    """In a process of its own: prints seconds and the peak of its memory."""
    settings = recipe_by_name(RECIPE).gate.model_copy(update={"samples": samples})
    manifest, extractor = read_manifest(work / "data"), read_extractor(work / "extractor")
    reference = reference_of(work / "data", manifest, work / "extractor", extractor, settings)
    started = time.perf_counter()
    signature = read_bundle(work / "bundle")
    measure(work / "bundle", signature, reference, work / "extractor", extractor, manifest, settings)
    seconds = time.perf_counter() - started
    # Not getrusage: what it gives began with the memory of the process that started this one.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    print(json.dumps({"seconds": seconds, "peak": 1024 * int(peak[1])}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        judge(Path(options.inside[0]), int(options.inside[1]))
        return
    seconds: dict[int, list[float]] = {count: [] for count in SAMPLES}
    peaks: dict[int, list[float]] = {count: [] for count in SAMPLES}
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        make(work)
        for number in range(options.rounds):
            for count in SAMPLES if number % 2 == 0 else SAMPLES[::-1]:
                command = [sys.executable, "-m", "benchmarks.judging", "--inside", directory, str(count)]
                ended = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
                found = json.loads(ended.stdout.splitlines()[-1])
                seconds[count].append(found["seconds"])
                peaks[count].append(found["peak"])
                print(count, found, flush=True)
    times = np.array([float(np.median(seconds[count])) for count in SAMPLES])
    slope, offset = np.polyfit(SAMPLES, times, 1)
    share = 1.0 - float(
        np.square(times - (slope * np.array(SAMPLES) + offset)).sum() / np.square(times - times.mean()).sum()
    )
    first, last = float(np.median(peaks[SAMPLES[0]])), float(np.median(peaks[SAMPLES[-1]]))
    rows = [
        [f"{count:,}", f"{np.median(seconds[count]):.1f}", f"{np.median(peaks[count]) / 2**20:.0f}"]
        for count in SAMPLES
    ]
    body = "\n\n".join(
        [
            table(["samples", "seconds", "peak memory, MiB"], rows),
            f"Time is {offset:.1f} s and {1e3 * slope:.2f} ms a sample; a straight line explains {share:.1%} of it. "
            f"Memory from {SAMPLES[0]:,} to {SAMPLES[-1]:,} samples: {last / first - 1:+.1%}. "
            f"Medians of {options.rounds} rounds.",
        ]
    )
    write("judging", "Memory and time of a judgement", "make bench NAME=judging", body)


if __name__ == "__main__":
    main()
