"""How often the gate of ``digits-gan`` rejects what is sound, and how often it lets through what is not.

Sound models are trained from seeds of their own by the recipe, and each draws from several seeds of z. Unsound ones:

- class never seen: models trained without one class, judged on all of them;
- class dropped: a sound model's samples without those that the extractor takes for one class;
- copies: one sample in a hundred replaced by a picture of the training split;
- noise: uniform pixels;
- collapse: a sound model asked for the surroundings of twenty latents only.

All go through the recipe's own limits, with one extractor and one Dataset. What was trained stays in ``--work`` and is
not trained again. A seed's trials are not independent of each other: the bound over seeds counts a model that fails in
any of its trials once.

    make campaign NAME=controls
    python -m tests.campaigns.controls --work runs/controls --seeds 20 --unseen 5 --record docs/benchmarks/controls.md
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.evaluate.core import FLOOR_PARTITIONS
from components.evaluate.documents import Metric, Metrics
from components.evaluate.gate import judge
from components.evaluate.measure import sample_metrics
from components.evaluate.reference import Reference, reference_of
from components.evaluate.sampling import Sampler
from components.evaluate.scored import CHUNK_ROWS, Chunk, score
from components.export.bundle import read_bundle
from components.extractor.document import Extractor
from components.extractor.reader import read_extractor
from components.prepare.dataset import read_manifest
from components.prepare.manifest import Manifest
from models.latents import standard_normal_latents
from models.metrics.frechet import real_vs_real_floor
from models.metrics.shares import upper_bound, wilson_interval
from pipelines.recipes import recipe_by_name

RECIPE = "digits-gan"
LIMITS = recipe_by_name(RECIPE).gate
COPIES = 0.01
COLLAPSED_TO = 20
AROUND = 0.1
"""Standard deviation of the latents of a collapse around their centres."""
Pictures = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Trial:
    """One set of samples and what the gate said of it."""

    kind: str
    model: str
    seed: int
    failed: list[str]
    frechet_in_floors: float


@dataclass(frozen=True)
class Judge:
    """What every trial is held against, read once in a process."""

    work: Path
    reference: Reference
    extractor: Extractor
    manifest: Manifest
    floor: float

    @classmethod
    @cache
    def of(cls, work: Path) -> Judge:
        manifest, extractor = read_manifest(work / "all"), read_extractor(work / "extractor")
        reference = reference_of(work / "all", manifest, work / "extractor", extractor, LIMITS)
        features = reference.held_out.detail.features
        floor, _ = real_vs_real_floor(features, partitions=FLOOR_PARTITIONS, seed=LIMITS.seed)
        return cls(work, reference, extractor, manifest, floor)

    def failed_checks(self, chunks: Iterator[Callable[[], Chunk]]) -> tuple[list[str], float]:
        """Names of the checks that these samples fail, and their distance in floors."""
        samples = score(self.work / "extractor", chunks, detailed_rows=LIMITS.detailed_samples)
        numbers = sample_metrics(samples, self.reference, self.extractor, self.manifest, seed=LIMITS.seed)
        metrics = Metrics(
            family="gan",
            dataset_name=self.manifest.name,
            dataset_fingerprint=self.manifest.fingerprint,
            extractor_sha256=self.extractor.sha256,
            sampler_sha256="",
            frechet_floor=Metric(value=self.floor, count=len(self.reference.held_out.detail.features) // 2),
            metrics=numbers,
            samples_sha256=samples.rows_sha256,
            mode_names=self.extractor.mode_names,
            mode_shares=samples.sums.mode_shares().tolist(),
            real_mode_shares=self.reference.held_out.sums.mode_shares().tolist(),
        )
        verdict = judge(metrics, LIMITS, limits_source=RECIPE)
        distance = numbers["frechet_distance"].value
        failed = [check.name for check in verdict.checks if not check.passed]
        return failed, float("nan") if distance is None else distance / self.floor


def trial(work: Path, kind: str, model: str, seed: int) -> Trial:
    """Draw, spoil as ``kind`` says, judge."""
    judge_of = Judge.of(work)
    bundle = work / model / "bundle"
    sampler = Sampler(bundle, read_bundle(bundle), judge_of.reference.labels)
    failed, distance = judge_of.failed_checks(_chunks(kind, sampler, judge_of, seed))
    return Trial(kind, model, seed, failed, distance)


def _chunks(kind: str, sampler: Sampler, of: Judge, seed: int) -> Iterator[Callable[[], Chunk]]:
    generator = np.random.Generator(np.random.PCG64([seed, 1]))
    size = (LIMITS.samples, *of.manifest.sample_shape[1:], of.manifest.sample_shape[0])
    match kind:
        case "sound" | "class never seen":
            return sampler.chunks(seed, LIMITS.samples)
        case "noise":
            return _of_rows(generator.integers(0, 256, size, dtype=np.uint8))
        case "collapse":
            return _of_rows(_collapsed(sampler, seed, generator))
        case "copies":
            rows = _drawn(sampler, seed, LIMITS.samples)
            count = round(COPIES * len(rows))
            training = generator.choice(len(of.reference.training.features), count, replace=False)
            rows[generator.choice(len(rows), count, replace=False)] = of.reference.training_pictures(np.sort(training))
            return _of_rows(rows)
        case "class dropped":
            rows = _drawn(sampler, seed, 5 * LIMITS.samples // 4)
            samples = score(of.work / "extractor", _of_rows(rows), detailed_rows=len(rows))
            dropped = seed % len(of.extractor.mode_names)
            return _of_rows(rows[samples.detail.modes() != dropped][: LIMITS.samples])  # the last few may be missing
    raise ValueError(kind)


def _drawn(sampler: Sampler, seed: int, count: int) -> Pictures:
    return np.concatenate([chunk().rows for chunk in sampler.chunks(seed, count)])


def _collapsed(sampler: Sampler, seed: int, generator: np.random.Generator) -> Pictures:
    """Pictures of latents close to one of a few."""
    centres = standard_normal_latents(seed, COLLAPSED_TO, recipe_by_name(RECIPE).model.latent_size)
    chosen = centres[generator.integers(0, COLLAPSED_TO, LIMITS.samples)]
    latents = chosen + np.float32(AROUND) * generator.standard_normal(chosen.shape, dtype=np.float32)
    return np.concatenate([sampler.decoded(part).rows for part in np.array_split(latents, 8)])


def _of_rows(rows: Pictures) -> Iterator[Callable[[], Chunk]]:
    def chunk(first: int) -> Callable[[], Chunk]:
        part = rows[first : first + CHUNK_ROWS]
        return lambda: Chunk(part, np.ones(len(part), dtype=np.bool_))

    for first in range(0, len(rows), CHUNK_ROWS):
        yield chunk(first)


def train(work: Path, name: str, seed: int, dataset: str) -> None:
    """Train and export one model, unless that was done before."""
    if (work / name / "bundle" / "signature.json").is_file():
        return
    own = ["--data", dataset, "--seed", str(seed)]
    _ganvas(work, "train", "--recipe", RECIPE, *own, "--out", f"{name}/checkpoint")
    _ganvas(work, "export", "--checkpoint", f"{name}/checkpoint", "--out", f"{name}/bundle")


def _ganvas(work: Path, *arguments: str) -> None:
    with (work / "log.txt").open("a") as log:
        command = [sys.executable, "-m", "pipelines.cli.main", *arguments]
        subprocess.run(command, cwd=work, stdout=log, stderr=log, check=True)


def train_all(work: Path, seeds: int, unseen: int) -> None:
    """The Datasets, the extractor and the models."""
    from components.extractor.core import fit_extractor

    work.mkdir(parents=True, exist_ok=True)
    if not (work / "all").exists():
        _ganvas(work, "prepare", "--source", "digits", "--out", "all")
    if not (work / "extractor").exists():
        recipe = recipe_by_name(RECIPE)
        fit_extractor(recipe.extractor, recipe.seed, work / "all", work / "extractor")
    for seed in range(seeds):
        train(work, f"seed-{seed}", seed, "all")
    for digit in range(unseen):
        dataset = f"without-{digit}"
        if not (work / dataset).exists():
            excluded = f'data.excluded_classes=["{digit}"]'
            _ganvas(work, "prepare", "--source", "digits", "--out", dataset, "--set", excluded)
        train(work, f"never-{digit}", 100 + digit, dataset)


def tasks(seeds: int, unseen: int, draws: int, controls: int) -> list[tuple[str, str, int]]:
    """(kind, model, seed of z) of every trial; no seed of z is used twice with a model."""
    sound = [("sound", f"seed-{seed}", 1_000 + draw) for seed in range(seeds) for draw in range(draws)]
    never = [("class never seen", f"never-{index % unseen}", index) for index in range(controls if unseen else 0)]
    spoiled = [
        (kind, f"seed-{index % seeds}", index)
        for kind in ("class dropped", "copies", "noise", "collapse")
        for index in range(controls)
    ]
    return [*sound, *never, *spoiled]


def report(trials: list[Trial]) -> str:
    """The table in Markdown."""
    lines = [
        f"# How often the gate of {RECIPE} is wrong",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores; `python -m {__spec__.name} {' '.join(sys.argv[1:])}`",
        "",
        "Limits: "
        + ", ".join(f"{name} {value}" for name, value in LIMITS.model_dump(exclude_defaults=True).items())
        + ".",
        "",
        "| samples | models | trials | rejected | 95 % interval | checks that failed, and in how many trials | "
        "Fréchet distance in floors, median |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(trial.kind for trial in trials):
        own = [trial for trial in trials if trial.kind == kind]
        rejected = sum(bool(trial.failed) for trial in own)
        share = wilson_interval(rejected, len(own))
        names = [name for trial in own for name in trial.failed]
        counted = ", ".join(f"{name} {names.count(name)}" for name in dict.fromkeys(names)) or "none"
        median = float(np.median([trial.frechet_in_floors for trial in own]))
        lines.append(
            f"| {kind} | {len({trial.model for trial in own})} | {len(own)} | {rejected / len(own):.1%} | "
            f"{share.low:.1%} to {share.high:.1%} | {counted} | {median:.2f} |"
        )
    sound = [trial for trial in trials if trial.kind == "sound"]
    models = sorted({trial.model for trial in sound})
    false = sum(bool(trial.failed) for trial in sound)
    ever = sum(any(trial.failed for trial in sound if trial.model == model) for model in models)
    lines += [
        "",
        f"Sound models: {false} of {len(sound)} sets of samples rejected, at most {upper_bound(false, len(sound)):.1%} "
        "(95 % upper bound, as if the sets were independent); "
        f"{ever} of {len(models)} models rejected in any of their sets, at most {upper_bound(ever, len(models)):.1%} "
        "(95 % upper bound over models, which are).",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """0 where every kind of unsound samples is found in 95 of 100 trials and sound ones are rejected in at most 5."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/controls"), help="where the models are kept")
    parser.add_argument("--seeds", type=int, default=20, help="sound models")
    parser.add_argument("--unseen", type=int, default=5, help="models that never saw a class")
    parser.add_argument("--draws", type=int, default=5, help="seeds of z of each sound model")
    parser.add_argument("--controls", type=int, default=100, help="trials of each kind of unsound samples")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--train-only", action="store_true")
    parser.add_argument("--report-only", action="store_true", help="of the trials that --work holds")
    parser.add_argument("--record", type=Path, help="Markdown file for the results")
    options = parser.parse_args()
    work = options.work.resolve()
    if options.report_only:
        return conclude([Trial(**json.loads(line)) for line in (work / "trials.jsonl").open()], options.record)
    train_all(work, options.seeds, options.unseen)
    if options.train_only:
        return 0
    os.environ["GANVAS_CACHE"] = str(work / "cache")
    trials = []
    with ProcessPoolExecutor(options.processes) as pool, (work / "trials.jsonl").open("w") as lines:
        planned = tasks(options.seeds, options.unseen, options.draws, options.controls)
        futures = [pool.submit(trial, work, *task) for task in planned]
        for future in futures:
            trials.append(future.result())
            lines.write(json.dumps(asdict(trials[-1])) + "\n")
            lines.flush()
    return conclude(trials, options.record)


def conclude(trials: list[Trial], record: Path | None) -> int:
    """Print the table, and write it where it is to be kept; the exit code."""
    text = report(trials)
    print(text)
    if record:
        record.write_text(text)
    missed = {
        kind
        for kind in {trial.kind for trial in trials} - {"sound"}
        if sum(bool(t.failed) for t in trials if t.kind == kind) < 0.95 * sum(t.kind == kind for t in trials)
    }
    sound = [bool(trial.failed) for trial in trials if trial.kind == "sound"]
    return 1 if missed or sum(sound) > 0.05 * len(sound) else 0


if __name__ == "__main__":
    sys.exit(main())
