"""Stacked MNIST, a thousand modes: `make bench NAME=stacked`.

The protocol of Metz et al. 2017 as R3GAN (Huang et al. 2024, appendix) and PacGAN (Lin et al. 2018) use it: 26,000
samples; the digit in each channel by a classifier of single digits that is right on more than 99 % of MNIST's test
set; KL of the histogram of the thousand triples against the uniform one. A perfect sampler scores about .0193 nats,
(1000 - 1) / (2 * 26,000), which is subtracted. Needs the MNIST files in torchvision's layout (--root).
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from benchmarks.nll import read_images
from benchmarks.record import table, write
from components.prepare.core import prepare
from components.recipe import Recipe, override
from components.train.core import _Run
from components.train.processes import Processes
from models.alarms import Alarm
from models.latents import standard_normal_latents
from models.networks.classifier import Classifier
from pipelines.recipes import recipe_by_name

SAMPLES = 26_000
MODES = 1_000
FLOOR = (MODES - 1) / (2 * SAMPLES)
AIM_KL_ABOVE_FLOOR = 0.010
AIM_SEEDS = 5
AIM_PARAMETERS = 10_000_000
PUBLISHED = [
    ("DCGAN", "99", "3.40", ""),
    ("VEEGAN", "150", "2.95", ""),
    ("PacGAN2", "1000", ".06", ""),
    ("R3GAN (41 M parameters, 10 M images)", "1000", ".029", ".010"),
]


def read_labels(root: Path, name: str) -> npt.NDArray[np.int64]:
    """Labels of an IDX file, int64 [N]."""
    path = next(path for path in root.rglob(f"{name}*") if path.is_file() and path.suffix != ".gz")
    return np.frombuffer(path.read_bytes(), dtype=np.uint8, offset=8).astype(np.int64)


def digit_classifier(root: Path, epochs: int) -> tuple[Classifier, float]:
    """A classifier of single digits and its accuracy on the test set."""
    torch.manual_seed(0)
    images = torch.from_numpy(read_images(root, "train-images").copy()).view(-1, 1, 28, 28)
    labels = torch.from_numpy(read_labels(root, "train-labels"))
    classifier = Classifier((1, 28, 28), 16, 64, 10)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = epochs * -(-len(images) // 128)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(128):
            loss = cross_entropy(classifier(images[rows] / 255.0)[1], labels[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    classifier.eval()
    test = torch.from_numpy(read_images(root, "t10k-images").copy()).view(-1, 1, 28, 28)
    right = digits_of(classifier, test / 255.0) == torch.from_numpy(read_labels(root, "t10k-labels"))
    return classifier, float(right.double().mean())


@torch.no_grad()
def digits_of(classifier: Classifier, pictures: torch.Tensor) -> torch.Tensor:
    """The digit of each picture [N, 1, 28, 28] in [0, 1]."""
    return torch.cat([classifier(part)[1].argmax(dim=1) for part in pictures.split(1_000)])


def scored(step: Any, classifier: Classifier, seed: int) -> dict[str, float]:
    """Modes and KL of 26,000 samples of the averaged generator."""
    latent = torch.from_numpy(standard_normal_latents(seed, SAMPLES, step.latent_size))
    triples = torch.zeros(SAMPLES, dtype=torch.int64)
    for start in range(0, SAMPLES, 500):
        # As they would be stored: rounded to 8 bits.
        pictures = torch.round(step.sample(latent[start : start + 500]).clamp(0, 1) * 255.0) / 255.0
        digits = [digits_of(classifier, pictures[:, channel : channel + 1]) for channel in range(3)]
        triples[start : start + 500] = 100 * digits[0] + 10 * digits[1] + digits[2]
    counts = np.bincount(triples.numpy(), minlength=MODES)
    shares = counts[counts > 0] / SAMPLES
    kl = float((shares * np.log(shares * MODES)).sum())
    return {"modes": int((counts > 0).sum()), "kl": kl, "kl_above_floor": kl - FLOOR}


class Curve:
    """Scores the run whenever training reports; goes to a file line by line."""

    def __init__(self, run: _Run, classifier: Classifier, output: Path, every: int, facts: dict[str, Any]) -> None:
        self._run, self._classifier, self._output, self._every, self._facts = run, classifier, output, every, facts
        self._started = time.perf_counter()
        self._next = every

    def on_numbers(self, images_seen: int, numbers: dict[str, float]) -> None:
        if images_seen < self._next and images_seen < self._run.settings.images_seen:
            return
        self._next += self._every
        seconds = round(time.perf_counter() - self._started)
        point = self._facts | {"images_seen": images_seen, "seconds": seconds}
        point |= scored(self._run.step, self._classifier, 0)
        with self._output.open("a") as stream:
            stream.write(json.dumps(point) + "\n")
        print(json.dumps(point), flush=True)

    def on_samples(self, images_seen: int, png: bytes) -> None:
        del images_seen
        self._output.with_suffix(".png").write_bytes(png)

    def on_alarm(self, images_seen: int, alarm: Alarm) -> None:
        print(images_seen, alarm.name, alarm.reason, flush=True)

    def on_rollback(self, images_seen: int, text: str) -> None:
        print(images_seen, text, flush=True)


def train_one(recipe: Recipe, classifier: Classifier, accuracy: float, options: argparse.Namespace) -> None:
    """One seed, scored along the way."""
    with tempfile.TemporaryDirectory() as directory:
        data, output = Path(directory) / "data", Path(directory) / "out"
        prepare(recipe.data, data)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        run = _Run(recipe, data, output, Processes(0, 1, device), "", "")
        networks = (run.step.generator, run.step.discriminator)  # type: ignore[attr-defined]
        sizes = [sum(weight.numel() for weight in network.parameters()) for network in networks]
        facts = {"seed": recipe.seed, "generator": sizes[0], "discriminator": sizes[1], "accuracy": accuracy}
        run.start("never", None)
        run.until_the_end([Curve(run, classifier, options.results, options.every, facts)], [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("../shared/data"))
    parser.add_argument("--budget", type=int, default=0, help="images seen; the recipe's own, a GPU's, where 0")
    parser.add_argument("--channels", type=int, default=0, help="base channels; the recipe's own where 0")
    parser.add_argument("--rows", type=int, default=0, help="stacked rows; the recipe's own where 0")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--every", type=int, default=50_000, help="images between points of the curve")
    parser.add_argument("--results", type=Path, default=Path("docs/benchmarks/stacked.jsonl"))
    parser.add_argument("--set", dest="changes", nargs="*", default=[], help="further fields, name=value")
    options = parser.parse_args()
    classifier, accuracy = digit_classifier(options.root, 4)
    print(f"classifier: {accuracy:.4f}", flush=True)
    changes: dict[str, Any] = {"data.source": f"stacked-mnist?root={options.root}", "training.log_every_images": 10_000}
    if options.budget:
        changes |= {"training.images_seen": options.budget, "model.ema_half_life_images": options.budget // 40}
    if options.channels:
        changes |= {f"model.{player}.base_channels": options.channels for player in ("generator", "discriminator")}
    if options.rows:
        changes["data.rows"] = options.rows
    for change in options.changes:
        name, _, value = change.partition("=")
        changes[name] = json.loads(value)
    for seed in options.seeds:
        train_one(
            override(recipe_by_name("stacked-mnist-gan"), changes | {"seed": seed}), classifier, accuracy, options
        )
    record([json.loads(line) for line in options.results.read_text().splitlines()])


def outcome(last: Sequence[dict[str, Any]]) -> str:
    """In words, whether the aim was reached.

    Args:
        last: the last point of each seed.
    """
    worst_modes, worst_kl = min(point["modes"] for point in last), max(point["kl_above_floor"] for point in last)
    largest = max(point["generator"] + point["discriminator"] for point in last)
    missed = [
        text
        for text, met in (
            (f"{worst_modes:,} modes", worst_modes >= MODES),
            (f"a KL of {worst_kl:.3f} nats above the floor", worst_kl <= AIM_KL_ABOVE_FLOOR),
            (f"{len(last)} seed{'' if len(last) == 1 else 's'}", len(last) >= AIM_SEEDS),
            (f"{largest / 1e6:.1f} M parameters", largest < AIM_PARAMETERS),
        )
        if not met
    ]
    aim = (
        f"The aim of {MODES:,} modes and a KL of at most {AIM_KL_ABOVE_FLOOR:.3f} nats above the floor, on at least "
        f"{AIM_SEEDS} seeds with under {AIM_PARAMETERS // 10**6} M parameters, was "
    )
    return f"{aim}not reached: {', '.join(missed)}." if missed else f"{aim}reached."


def record(points: list[dict[str, Any]]) -> None:
    """The table beside the published rows, and the curve."""
    last = {point["seed"]: point for point in points}
    rows = [
        (
            f"**stacked-mnist-gan**, seed {point['seed']}, {point['images_seen']:,} images, "
            f"{(point['generator'] + point['discriminator']) / 1e6:.1f} M parameters",
            f"**{point['modes']}**",
            f"**{point['kl']:.3f}**",
            f"**{point['kl_above_floor']:.3f}**",
        )
        for point in last.values()
    ]
    curve = [
        (point["seed"], f"{point['images_seen']:,}", point["modes"], f"{point['kl']:.3f}", f"{point['seconds']:,}")
        for point in points
    ]
    body = (
        f"{outcome(list(last.values()))}\n\n"
        f"{table(('', 'modes', 'KL', 'KL above the floor'), [*PUBLISHED, *rows])}\n\nThe classifier is right on "
        f"{points[-1]['accuracy']:.2%} of MNIST's test set. The floor is {FLOOR:.4f}.\n\n## The curve\n\n"
        + table(("seed", "images seen", "modes", "KL", "seconds"), curve)
    )
    print(write("stacked", "Stacked MNIST", "make bench NAME=stacked", body))


if __name__ == "__main__":
    main()
