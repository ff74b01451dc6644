"""The comparison of the families on the built-in digits: its table and what became of every claim.

make campaign NAME=comparison
python -m tests.campaigns.comparison --images-seen 16000 --seed 1
python -m tests.campaigns.comparison --of runs/compare    # only the table of one that is finished
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from components.artifacts import read_document
from components.compare.documents import COMPARISON_NAME, Comparison, Contestant
from components.compare.page import NAMES, ROWS
from components.evaluate.words import number, plain_words
from pipelines.contestants import contestants
from pipelines.revision import code_revision

SOURCE = "digits"
RECORD = Path(__file__).parents[2] / "docs" / "benchmarks" / "comparison.md"


def report(comparison: Comparison, *, command: str, seed: int, revision: str, note: str) -> str:
    """The claims, then the numbers, in Markdown.

    Args:
        comparison: as in comparison.json.
        command: that made it.
        seed: of the recipes.
        revision: of the code that made it.
        note: what else the reader should know.
    """
    models = comparison.contestants
    facts = {
        "images seen": [f"{one.images_seen:,}" for one in models],
        "seconds of training, by the clock": [number(one.training_seconds) for one in models],
        "parameters of the exported networks": [f"{one.parameters:,}" for one in models],
        "components of the latent or code": [str(one.code_size) for one in models],
        "the gate's verdict": ["passed" if one.passed else "failed" for one in models],
    }
    facts |= {
        plain_words(name): [_cell(one, name) for one in models]
        for name in ROWS
        if any(name in one.metrics for one in models)
    }
    return "\n".join(
        [
            f"# GAN, VAE and AE on {comparison.dataset_name}",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, seed {seed}, revision {revision or 'unknown'}; `{command}`",
            "",
            *([note, ""] if note else []),
            "| claim | | why |",
            "|---|---|---|",
            *(
                f"| {claim.statement} | **{claim.outcome}** | {claim.reason[:1].upper()}{claim.reason[1:]}. |"
                for claim in comparison.claims
            ),
            "",
            f"| | {' | '.join(NAMES[one.role] for one in models)} |",
            "|---" * (len(models) + 1) + "|",
            *(f"| {name} | {' | '.join(cells)} |" for name, cells in facts.items()),
            "",
            "In brackets 95 % intervals. Two halves of the real held-out data lie "
            f"{number(comparison.frechet_floor)} apart (Fréchet).",
            "",
        ]
    )


def _cell(one: Contestant, name: str) -> str:
    metric = one.metrics.get(name)
    if metric is None:
        return "–"
    between = f" ({number(metric.interval[0])} to {number(metric.interval[1])})" if metric.interval else ""
    return number(metric.value) + between


def main() -> int:
    """Train, judge and compare, and write the table; the command's own exit code where it fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images-seen", type=int, default=contestants(SOURCE, {})[0].training.images_seen)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs") / f"compare-{datetime.now(UTC):%Y%m%d-%H%M%S}")
    parser.add_argument("--of", type=Path, help="a finished comparison, to be written down and not run again")
    parser.add_argument("--revision", default=code_revision(), help="of the code that made it")
    parser.add_argument("--note", default="", help="what else the reader should know")
    parser.add_argument("--record", type=Path, default=RECORD, help="Markdown file for the results")
    options = parser.parse_args()
    arguments = ["compare", SOURCE, "--images-seen", str(options.images_seen), "--seed", str(options.seed)]
    if options.of is None:
        command = [sys.executable, "-m", "pipelines.cli.main", *arguments, "--out", str(options.out)]
        if code := subprocess.run(command, check=False).returncode:
            return code
    found = read_document(options.of or options.out, COMPARISON_NAME, Comparison)
    text = report(
        found,
        command=f"ganvas {' '.join(arguments)}",
        seed=options.seed,
        revision=options.revision[:12],
        note=options.note,
    )
    print(text)
    options.record.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
