"""The limits of ``digits-gan`` must reject an under-trained model and one that never saw a class.

Both go the way that a user's model goes: exit code 3, a version registered with its verdict, no alias moved, and
a report there to be read. With ``--seeds N`` sound models of N seeds are judged as well.

    make campaign NAME=rejection
    python -m tests.campaigns.rejection --seeds 4 --record docs/benchmarks/rejection.md
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RECIPE = "digits-gan"
EXCLUDED_CLASS = "7"
UNDER_TRAINED_IMAGES = 8_000
SHOWN = ("frechet_distance", "smallest_mode_share", "mode_kl_samples_to_data")


@dataclass(frozen=True)
class Trial:
    """One model and what became of it."""

    name: str
    expected_code: int
    code: int
    checks: dict[str, dict[str, Any]]
    aliases: list[str]

    @property
    def holds(self) -> bool:
        """Whether it ended as it should: the verdict's exit code, and an alias only where it passed."""
        return self.code == self.expected_code and bool(self.aliases) == (self.expected_code == 0)

    def row(self) -> str:
        """A row of the Markdown table."""
        values = [_number(self.checks[name]) for name in SHOWN]
        failed = ", ".join(name for name, check in self.checks.items() if not check["passed"]) or "none"
        return f"| {self.name} | {' | '.join(values)} | {failed} | {self.code} | {', '.join(self.aliases) or 'none'} |"


def _number(check: dict[str, Any]) -> str:
    """A check's value, with the interval whose upper end is held against the limit where there is one."""
    interval = check["interval"]
    return f"{check['value']:.4g}" + (f" ({interval[0]:.4g} to {interval[1]:.4g})" if interval else "")


def _limits(checks: dict[str, dict[str, Any]]) -> str:
    """The row of the limits that every model of the table was judged by."""
    return f"| *limit* | {' | '.join(format(checks[name]['limit'], '.4g') for name in SHOWN)} | | | |"


def main() -> int:
    """Run the trials in a directory of their own; 0 where every one ends as it should."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=0, help="sound models to judge as well")
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        _ganvas(work, "prepare", "--source", "digits", "--out", "all")
        _ganvas(
            work,
            "prepare",
            "--source",
            "digits",
            "--out",
            "without",
            "--set",
            f'data.excluded_classes=["{EXCLUDED_CLASS}"]',
        )
        budget = f"training.images_seen={UNDER_TRAINED_IMAGES}"
        trials = [
            _trial(work, f"under-trained ({UNDER_TRAINED_IMAGES:,} images)", "all", 3, "--set", budget),
            _trial(work, f"never saw class {EXCLUDED_CLASS}", "without", 3),
            *(_trial(work, f"sound, seed {seed}", "all", 0, "--seed", str(seed)) for seed in range(arguments.seeds)),
        ]
    header = [
        f"# What the limits of {RECIPE} reject",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores; `python -m {__spec__.name} {' '.join(sys.argv[1:])}`",
        "",
        f"| model | {' | '.join(SHOWN)} | failed checks | exit code | aliases |",
        "|---|" + "---|" * (len(SHOWN) + 3),
        _limits(trials[0].checks),
    ]
    text = "\n".join([*header, *(trial.row() for trial in trials), ""])
    print(text)
    if arguments.record:
        arguments.record.write_text(text)
    wrong = [trial.name for trial in trials if not trial.holds]
    print(f"{len(trials) - len(wrong)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


def _trial(work: Path, name: str, dataset: str, expected_code: int, *options: str) -> Trial:
    """Train on ``dataset``, judge on all classes by the recipe's own limits, promote."""
    slug = "".join(character if character.isalnum() else "-" for character in name)
    _ganvas(work, "train", "--recipe", RECIPE, "--data", dataset, "--out", f"{slug}/checkpoint", *options)
    _ganvas(work, "export", "--checkpoint", f"{slug}/checkpoint", "--out", f"{slug}/bundle")
    extractor = work / "extractor"
    evaluate = ["evaluate", "--bundle", f"{slug}/bundle", "--data", "all", "--out", f"{slug}/report"]
    judged = _ganvas(work, *evaluate, *(["--extractor", "extractor"] if extractor.exists() else []), allowed=(0, 3))
    if not extractor.exists():
        (work / slug / "report" / "extractor").rename(extractor)
    promote = ["promote", "--bundle", f"{slug}/bundle", "--report", f"{slug}/report", "--model-name", slug]
    code = _ganvas(work, *promote, allowed=(0, 3))
    report = work / slug / "report"
    if judged != code or not (report / "report.html").is_file():
        raise SystemExit(
            f"{name}: evaluate ended with {judged}, promote with {code}, report: {sorted(report.iterdir())}"
        )
    verdict = json.loads((report / "verdict.json").read_text())
    return Trial(name, expected_code, code, {check["name"]: check for check in verdict["checks"]}, _aliases(work, slug))


def _aliases(work: Path, model_name: str) -> list[str]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{work / 'runs' / 'mlflow.db'}")
    if not client.search_model_versions(f"name = '{model_name}'"):
        raise SystemExit(f"{model_name} was not registered")
    return sorted(client.get_registered_model(model_name).aliases)


def _ganvas(work: Path, *arguments: str, allowed: tuple[int, ...] = (0,)) -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    command = [sys.executable, "-m", "pipelines.cli.main", *arguments]
    ended = subprocess.run(command, cwd=work, env=environment, check=False)
    if ended.returncode not in allowed:
        raise SystemExit(f"ganvas {' '.join(arguments)} ended with {ended.returncode}")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
