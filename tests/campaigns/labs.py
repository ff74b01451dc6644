"""Every demonstration of the theory at its full size: its numbers beside the closed form or what the claim expects.

    make campaign NAME=labs
    python -m tests.campaigns.labs --seed 1 --record ""

Ends with 1 where a claim's outcome is another than ``docs/labs.md`` tells.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pipelines.labs.registry import NAMES, LabName, lab_name, run_lab
from pipelines.labs.result import Finding
from pipelines.revision import code_revision

RECORD = Path(__file__).parents[2] / "docs" / "benchmarks" / "labs.md"
REFUTED: frozenset[LabName] = frozenset({"kl-direction", "latent-holes"})
"""Claims that do not hold, as docs/labs.md tells."""


def report(findings: Sequence[tuple[LabName, Finding, float]], seed: int) -> str:
    """The tables in Markdown: the claims, then of each the rows that expect something.

    Args:
        findings: name, what was found, seconds of CPU time.
        seed: of all of them.
    """
    lines = [
        "# The theory's demonstrations, at full size",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, seed {seed}, revision {code_revision()[:12] or 'unknown'}, one thread of "
        f"{os.cpu_count()} cores; `{' '.join(['python -m', __spec__.name, *sys.argv[1:]])}`",
        "",
        "Seconds are CPU time. What each shows, with pictures: [the demonstrations](../labs.md).",
        "",
        "| demonstration | s | claim | |",
        "|---|---|---|---|",
    ]
    for name, found, seconds in findings:
        lines.append(
            f"| `{name}` | {seconds:.0f} | {found.claim} | {'confirmed' if found.confirmed else '**refuted**'} |"
        )
    for name, found, _ in findings:
        lines += [
            "",
            f"## {name}",
            "",
            found.sentence,
            "",
            "| quantity | measured | expected | holds |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {row.name.replace('|', '&#124;')} | {row.measured:.4g} | {row.expectation} | "
            f"{'yes' if row.holds else '**no**'} |"
            for row in found.quantities
            if row.holds is not None
        ]
    return "\n".join([*lines, ""])


def main() -> int:
    """0 where every claim ends as docs/labs.md tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", type=lab_name, default=NAMES, help="demonstrations; by default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--record", default=str(RECORD), help="Markdown file for the results; none where empty")
    options = parser.parse_args()
    findings = []
    for name in options.names:
        started = time.process_time()
        found = run_lab(name, options.seed)
        findings.append((name, found, time.process_time() - started))
        print(f"{name}: {found.sentence} ({findings[-1][2]:.0f} s)", file=sys.stderr, flush=True)
    text = report(findings, options.seed)
    print(text)
    if options.record:
        Path(options.record).write_text(text)
    wrong = [name for name, found, _ in findings if found.confirmed == (name in REFUTED)]
    print(f"{len(findings) - len(wrong)} as told, {len(wrong)} not{': ' if wrong else ''}{', '.join(wrong)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
