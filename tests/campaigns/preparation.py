"""Preparation killed at random moments: what is gone on with equals what was never killed, byte for byte.

    make campaign NAME=preparation
    python -m tests.campaigns.preparation --kills 20 --record docs/benchmarks/preparation-kills.md

Each trial prepares a folder of pictures with the command line, kills it and the processes that it started at a random
moment, starts the same command again, and compares every file of the Dataset with an uninterrupted preparation's.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from components.artifacts import sha256_of_file
from components.prepare.core import UNITS_NAME

CLASSES = 4


def main() -> int:
    """Kill and compare; 0 where every trial ended equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pictures", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    rows, failures = [], 0
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        _make(work / "pictures", arguments.pictures)
        started = time.perf_counter()
        _prepare(work, "whole").wait()
        seconds = time.perf_counter() - started
        whole = _contents(work / "whole")
        print(f"{len(whole)} files, {seconds:.1f} s uninterrupted", flush=True)
        for _ in range(arguments.kills):
            shutil.rmtree(work / "out", ignore_errors=True)
            moment = dice.uniform(0.05, 0.98) * seconds
            process = _prepare(work, "out")
            time.sleep(moment)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            units = len(list((work / "out" / UNITS_NAME).glob("unit-*")))
            finished = (work / "out" / "manifest.json").is_file()
            if not finished:
                _prepare(work, "out").wait()
            equal = _contents(work / "out") == whole
            failures += not equal
            state = "finished" if finished else f"{units} units"
            rows.append(f"| {moment:.1f} s | {state} | {'equal' if equal else '**different**'} |")
            print(rows[-1], flush=True)
    lines = [
        "# Preparation killed at random moments",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; `python -m {__spec__.name} {' '.join(sys.argv[1:])}`; seed {arguments.seed}; "
        f"{os.cpu_count()} cores",
        "",
        f"{arguments.pictures:,} pictures, {seconds:.1f} s uninterrupted. {len(rows)} trials, {failures} different.",
        "",
        "| killed after | what was there | gone on with, against uninterrupted |",
        "|---|---|---|",
        *rows,
        "",
    ]
    if arguments.record:
        arguments.record.write_text("\n".join(lines))
    return int(failures > 0)


def _make(folder: Path, count: int) -> None:
    random_ = np.random.Generator(np.random.PCG64(0))
    for number in range(count):
        path = folder / str(number % CLASSES) / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random_.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        coarse.resize((64, 64), Image.Resampling.BICUBIC).save(path, quality=90)
    (folder / "0" / "broken.png").write_bytes(b"no picture")


def _prepare(work: Path, name: str) -> subprocess.Popen[bytes]:
    """The command in a session of its own, so that all its processes can be killed at once."""
    command = ["prepare", "--source", f"folder:{work / 'pictures'}", "--out", str(work / name)]
    settings = ["--set", "data.image_size=32", "--set", "data.channels=3"]
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.cli.main", *command, *settings],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _contents(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): sha256_of_file(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and UNITS_NAME not in path.parts
    }


if __name__ == "__main__":
    sys.exit(main())
