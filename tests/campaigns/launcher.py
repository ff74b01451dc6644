"""The launcher's fault table: each fault, what the user reads, what is left behind.

    make campaign NAME=launcher
    python -m tests.campaigns.launcher --record docs/benchmarks/launcher.md

The faults are those of ``tests/components/launch/faults.py``, played on an API server over HTTP with the Kubernetes
client as it is; the waiting times are shorter than a cluster's.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from components.prepare.core import prepare
from components.prepare.settings import DataSettings
from components.recipe import override
from components.step import SAID_MARK
from components.train.core import train
from pipelines.recipes import recipe_by_name
from tests.components.launch.fake_api import fake_cluster
from tests.components.launch.faults import ROWS, Row, Seen, World, run_row

CHANGES = {
    "training.images_seen": 64,
    "training.batch_size": 32,
    "training.threads_per_process": 1,
    "data.rows": 2_000,
}
SHOWN_LINES = 3


def main() -> int:
    """Play every row; 0 where each reads as it should and leaves what it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    arguments = parser.parse_args()
    lines, failures = [], 0
    with tempfile.TemporaryDirectory() as directory:
        data, checkpoint = Path(directory) / "data", Path(directory) / "checkpoint"
        recipe = override(recipe_by_name("ring-gan"), CHANGES)
        prepare(DataSettings(source="mixture:ring8", rows=2_000, shard_rows=300), data)
        train(recipe, data, checkpoint)
        for number, row in enumerate(ROWS):
            work = Path(directory) / f"row-{number}"
            work.mkdir()
            os.environ["KUBECONFIG"] = str(work / "kubeconfig")
            with fake_cluster(work / "kubeconfig") as cluster:
                started = time.perf_counter()
                seen = run_row(row, World(cluster, recipe, data, checkpoint, work))
                seconds = time.perf_counter() - started
            wrong = _wrong(row, seen)
            failures += bool(wrong)
            left = ", ".join(f"the {name}" for name in row.left) or "nothing"
            shown = re.sub(r"ganvas-[0-9a-f]{20}", "ganvas-...", _shown(row, seen).replace(str(work), "..."))
            if seen.stopped_seconds is not None:
                shown += f" (it ended {seen.stopped_seconds:.1f} s after the signal)"
            lines.append(f"| {row.fault} | {shown} | {wrong or left} | {seconds:.1f} |")
            print(f"{'WRONG ' if wrong else ''}{row.fault}: {seconds:.1f} s", flush=True)
    text = [
        "# The launcher's fault table",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}; `python -m {__spec__.name} {' '.join(sys.argv[1:])}`; waiting times shortened",
        "",
        f"{len(ROWS)} faults, {failures} of them with other words or leavings than stated.",
        "",
        "| what happens | what the user reads | left behind on the API server | seconds |",
        "|---|---|---|---|",
        *lines,
        "",
    ]
    if arguments.record:
        arguments.record.write_text("\n".join(text))
    print(f"{len(ROWS) - failures} as they should be, {failures} not")
    return 1 if failures else 0


def _wrong(row: Row, seen: Seen) -> str:
    """How a row ended otherwise than stated; empty where it did not."""
    missing = [expected for expected in row.reads if not re.search(expected, seen.text)]
    if missing:
        return f"**not read: {missing[0]}**"
    if seen.failed != row.fails:
        return f"**{'failed' if seen.failed else 'succeeded'}**"
    jobs = [name for name in seen.left if "-node-" not in name]
    return "" if len(jobs) == len(row.left) else f"**{', '.join(seen.left)}**"


def _shown(row: Row, seen: Seen) -> str:
    """The error; where there is none, the lines that tell of the fault."""
    if seen.failed:
        told = seen.error.splitlines()
    else:
        told = [line for line in seen.text.splitlines() if any(re.search(one, line) for one in row.reads)]
    words = "<br>".join(line.removeprefix(SAID_MARK).strip() for line in told[:SHOWN_LINES])
    return words.replace("|", "\\|") + (" ..." if len(told) > SHOWN_LINES else "")


if __name__ == "__main__":
    sys.exit(main())
