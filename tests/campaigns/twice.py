"""The same recipe and seed twice in a row: equal weights, numbers and pictures; and what a run costs beside its work.

Each run has a directory and an MLflow store of its own, as on a fresh clone. The wall time that is not the steps'
own work (interpreters, imports, the engine, MLflow) is reported for both.

    make campaign NAME=twice
    python -m tests.campaigns.twice --recipe digits-gan --record docs/benchmarks/twice.md
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

OVERHEAD_LIMIT_SECONDS = 20.0


def main() -> int:
    """Run twice and compare; 0 where everything is equal and the overhead is within its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="digits-gan-smoke")
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        results = [_run(Path(directory) / name, arguments.recipe) for name in ("first", "second")]
    first, second = results
    lines = [
        f"# {arguments.recipe} twice",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores; `python -m {__spec__.name} {' '.join(sys.argv[1:])}`",
        "",
        "| | first | second |",
        "|---|---|---|",
        *(f"| {name} | {_short(first[name])} | {_short(second[name])} |" for name in first),
        "",
    ]
    print("\n".join(lines))
    if arguments.record:
        arguments.record.write_text("\n".join(lines))
    different = [name for name in first if not name.endswith("seconds") and first[name] != second[name]]
    slow = [result for result in results if float(str(result["overhead_seconds"])) > OVERHEAD_LIMIT_SECONDS]
    print(
        f"different: {', '.join(different) or 'nothing'}; runs above {OVERHEAD_LIMIT_SECONDS:g} s overhead: {len(slow)}"
    )
    print(f"{2 - bool(different) - bool(slow)} passed, {bool(different) + bool(slow)} failed")
    return 1 if different or slow else 0


def _run(work: Path, recipe: str) -> dict[str, object]:
    work.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, "-m", "pipelines.cli.main", "run", recipe, "--out", "run", "--json"]
    ended = subprocess.run(command, cwd=work, env=environment, check=True, stdout=subprocess.PIPE)
    run = json.loads(ended.stdout)
    (checkpoint,) = (work / "run" / "pipeline").glob("*/train-model/checkpoint/checkpoint.json")
    metrics = (work / "run" / "metrics.json").read_bytes()
    signature = json.loads((work / "run" / "bundle" / "signature.json").read_text())
    return {
        "weights": json.loads(checkpoint.read_text())["weights_sha256"],
        "graph": signature["graphs"]["generator"]["sha256"],
        "metrics.json": hashlib.sha256(metrics).hexdigest(),
        "pictures": json.loads(metrics)["samples_sha256"],
        "wall_seconds": run["wall_seconds"],
        "overhead_seconds": run["overhead_seconds"],
    }


def _short(value: object) -> str:
    return f"`{value[:16]}`" if isinstance(value, str) else f"{value}"


if __name__ == "__main__":
    sys.exit(main())
