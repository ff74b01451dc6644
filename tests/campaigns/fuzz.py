"""Damaged picture files for minutes on end: decoding gives a picture or a known reason, and never anything else.

    make campaign NAME=fuzz
    python -m tests.campaigns.fuzz --minutes 10 --record docs/benchmarks/fuzz.md

Files of every format (those of tests/components/prepare/decoding/cases.py) are broken by up to four edits each:
flipped and foreign bytes, cuts, pieces removed, repeated and exchanged, absurd numbers, PNG sums made right again.
Memory is bounded to 500 MB more than at the start; warnings are errors; a crash of a decoder ends the campaign.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import sys
import time
import warnings
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from components.prepare.decoding.decode import decode
from components.prepare.decoding.picture import Picture
from components.prepare.settings import DataSettings
from tests.components.prepare.decoding.cases import BAD, GOOD
from tests.components.prepare.decoding.damage import KINDS, Edit, damaged
from tests.components.prepare.decoding.test_foreign_bytes import REASONS

LARGEST_BYTES = 60_000
MORE_MEMORY = 500 * 2**20
SLOW_SECONDS = 5.0


def main() -> int:
    """Damage and decode; 0 where nothing unknown came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    parser.add_argument("--keep", type=Path, default=Path("runs/fuzz"), help="where files that fail are kept")
    arguments = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("error")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MORE_MEMORY, used + MORE_MEMORY))
    random = np.random.Generator(np.random.PCG64(arguments.seed))
    files = {name: case.content[:LARGEST_BYTES] for name, case in {**GOOD, **BAD}.items()}
    formats = sorted({name.split()[0].lower() for name in files})
    outcomes: Counter[str] = Counter()
    failures = 0
    end = time.monotonic() + 60 * arguments.minutes
    while time.monotonic() < end:
        kind = formats[random.integers(len(formats))]
        names = [name for name in files if name.split()[0].lower() == kind]
        name = names[random.integers(len(names))]
        content = damaged(files[name], _edits(random, name))
        settings = _settings(random)
        fault = _fault(content, settings, outcomes)
        if fault:
            failures += 1
            arguments.keep.mkdir(parents=True, exist_ok=True)
            (arguments.keep / f"{failures}.bin").write_bytes(content)
            print(f"{name}: {fault}; {settings}", flush=True)
    total = sum(outcomes.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    lines = [
        "# Damaged pictures",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; `python -m {__spec__.name} {' '.join(sys.argv[1:])}`; seed {arguments.seed}",
        "",
        f"{total:,} files in {arguments.minutes:g} minutes, {failures} with an unknown outcome. Peak memory {peak} MB.",
        "",
        "| outcome | files |",
        "|---|---:|",
        *(f"| {outcome} | {count:,} |" for outcome, count in outcomes.most_common()),
        "",
    ]
    print("\n".join(lines))
    if arguments.record:
        arguments.record.write_text("\n".join(lines))
    return int(failures > 0)


def _edits(random: np.random.Generator, name: str) -> list[Edit]:
    edits = [
        Edit(
            KINDS[random.integers(len(KINDS))],
            random.random() ** random.choice((1, 4)),  # half of them near the beginning, where headers are
            random.random(),
            int(random.integers(2**20)),
        )
        for _ in range(random.integers(1, 5))
    ]
    if name.startswith("png") and random.random() < 0.8:
        edits.append(Edit("sums", 0.0, 0.0, 0))
    return edits


def _settings(random: np.random.Generator) -> DataSettings:
    return DataSettings(
        image_size=(None, 16)[random.integers(2)],
        channels=(1, 3)[random.integers(2)],
        fit="pad" if random.random() < 0.5 else "crop",
        scaled_decode=bool(random.integers(2)),
        maximum_pixels=4_000_000,
    )


def _fault(content: bytes, settings: DataSettings, outcomes: Counter[str]) -> str:
    """What should not have happened, or nothing."""
    started = time.perf_counter()
    try:
        result = decode(content, settings)
    except BaseException as error:  # that is what it must never do
        return f"raised {error!r}"
    if time.perf_counter() - started > SLOW_SECONDS:
        return "too slow"
    if isinstance(result, str):
        outcomes[result] += 1
        return "" if result in REASONS else f"unknown reason {result!r}"
    outcomes[f"a picture ({result.format})"] += 1
    return _unsound(result, settings)


def _unsound(picture: Picture, settings: DataSettings) -> str:
    size = settings.image_size
    sides = (size, size) if size else picture.pixels.shape[1:]
    sound = picture.pixels.dtype == np.uint8 and picture.pixels.shape == (settings.channels, *sides)
    return "" if sound else f"shape {picture.pixels.shape}"


if __name__ == "__main__":
    sys.exit(main())
