"""Training speed: `make bench NAME=throughput`.

1. The product's whole loop (data, logging, diagnostics, pictures, checkpoints) against the same update on one resident
   batch with none of it.
2. The loops of pytorch/examples' DCGAN and VAE, as their documentation describes them (a DataLoader of worker
   processes over pictures, `ToTensor`, three backward passes a GAN iteration, losses read at every iteration), around
   the same networks and optimizers.
3. Two processes with one thread each against one with two, at the same global batch.

Every comparison is of paired runs in alternating order; medians of their ratios.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from benchmarks.record import table, write
from components.launch import launch_training
from components.prepare.core import prepare
from components.prepare.dataset import read_manifest, read_split
from components.recipe import Recipe, override
from components.train.core import _Run, train
from components.train.processes import Processes
from models.steps.batch import Batch, Moment
from models.steps.step import Draws
from pipelines.recipes import recipe_by_name

CPU = torch.device("cpu")
GAN = {
    "model.objective.kind": "non-saturating",
    "model.r1_weight": 0.0,
    "model.r2_weight": 0.0,
    "model.shared_latents": True,  # as the examples' loop has it
    "training.batch_size": 128,
    "training.images_seen": 6_400,
}
VAE = {"training.batch_size": 128, "training.images_seen": 12_800}


class Pictures(Dataset[torch.Tensor]):
    """Pictures one by one, through PIL and ToTensor, as torchvision's data sets give them."""

    def __init__(self, rows: Any) -> None:
        self.rows = np.ascontiguousarray(rows[:, 0])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        picture = np.array(Image.fromarray(self.rows[index]), copy=True)
        return torch.from_numpy(picture)[None].contiguous().to(torch.float32).div(255)


def examples_dcgan(recipe: Recipe, rows: Any, run: _Run) -> float:
    """Seconds of the examples' DCGAN loop over the recipe's budget."""
    step: Any = run.step
    generator, discriminator = step.generator, step.discriminator
    criterion = nn.BCEWithLogitsLoss()
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    loader = DataLoader(Pictures(rows), batch_size=recipe.training.batch_size, shuffle=True, num_workers=2)
    seen, started = 0, 0.0
    while seen < recipe.training.images_seen:
        for data in loader:
            started = started or time.perf_counter()  # the workers' start is not counted
            discriminator.zero_grad()
            real = data * 2.0 - 1.0
            label = torch.full((len(real),), 1.0)
            real_loss = criterion(discriminator(real), label)
            real_loss.backward()
            noise = torch.randn(len(real), step.latent_size)
            fake = generator(noise)
            label.fill_(0.0)
            fake_loss = criterion(discriminator(fake.detach()), label)
            fake_loss.backward()
            optimizer_d.step()
            generator.zero_grad()
            label.fill_(1.0)
            loss = criterion(discriminator(fake), label)
            loss.backward()
            optimizer_g.step()
            _ = (real_loss.item() + fake_loss.item(), loss.item())
            seen += len(real)
            if seen >= recipe.training.images_seen:
                break
    return time.perf_counter() - started


def examples_vae(recipe: Recipe, rows: Any, run: _Run) -> float:
    """Seconds of the examples' VAE loop over the recipe's budget."""
    step: Any = run.step
    network = step.network
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = DataLoader(Pictures(rows), batch_size=recipe.training.batch_size, shuffle=True, num_workers=1)
    seen, started = 0, 0.0
    while seen < recipe.training.images_seen:
        for data in loader:
            started = started or time.perf_counter()
            optimizer.zero_grad()
            noise = torch.randn(1, len(data), step.latent_size)
            location, _, mean, log_variance, _ = network(data, noise)
            reconstruction = nn.functional.binary_cross_entropy(torch.sigmoid(location), data, reduction="sum")
            kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
            loss = reconstruction + kl
            loss.backward()
            _ = loss.item()
            optimizer.step()
            seen += len(data)
            if seen >= recipe.training.images_seen:
                break
    return time.perf_counter() - started


def fresh(recipe: Recipe, dataset: Path, output: Path) -> _Run:
    """A run that is about to start."""
    return _Run(recipe, dataset, output, Processes(0, 1, CPU), "", "")


def product(recipe: Recipe, dataset: Path) -> float:
    """Seconds of the product's whole loop."""
    with tempfile.TemporaryDirectory() as directory:
        run = fresh(recipe, dataset, Path(directory) / "out")
        run.start("never", None)
        started = time.perf_counter()
        run.until_the_end([], [])
        return time.perf_counter() - started


def synthetic(recipe: Recipe, dataset: Path) -> float:
    """Seconds of the same updates on one resident batch, with nothing around them."""
    with tempfile.TemporaryDirectory() as directory:
        run = fresh(recipe, dataset, Path(directory) / "out")
    size = recipe.training.batch_size
    batch: list[Batch] = run.data.batches(0, size * run.step.batches_per_update, 0)
    started = time.perf_counter()
    for update in range(recipe.training.images_seen // (size * run.step.batches_per_update)):
        run.step.update(batch, Draws(0, update, 0, 1, CPU), Moment(update * size, 0.0))
    return time.perf_counter() - started


def paired(first: Callable[[], float], second: Callable[[], float], pairs: int) -> tuple[float, float, float]:
    """Median, lowest and highest of second's seconds over first's."""
    ratios = []
    for pair in range(pairs):
        if pair % 2:
            other, one = second(), first()
        else:
            one, other = first(), second()
        ratios.append(other / one)
    return statistics.median(ratios), min(ratios), max(ratios)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        dataset = Path(directory) / "data"
        prepare(recipe_by_name("digits-gan").data, dataset)
        pictures, _ = read_split(dataset, read_manifest(dataset), "train")
        with tempfile.TemporaryDirectory() as warm:
            train(override(recipe_by_name("digits-gan"), {"training.images_seen": 640}), dataset, Path(warm) / "out")

        def add(name: str, aim: str, first: Callable[[], float], second: Callable[[], float]) -> None:
            median, low, high = paired(first, second, options.pairs)
            rows.append((name, f"{median:.3f}", f"{low:.3f} to {high:.3f}", aim))
            print(rows[-1], flush=True)

        own = override(recipe_by_name("digits-gan"), {"training.images_seen": 16_000})
        add(
            "digits-gan: resident batch / whole loop",
            "at least .97",
            lambda: product(own, dataset),
            lambda: synthetic(own, dataset),
        )

        def timed(loop: Callable[[Recipe, Any, _Run], float], recipe: Recipe) -> float:
            return loop(recipe, pictures, fresh(recipe, dataset, Path(directory) / "x"))

        for name, changes, loop in (
            ("digits-gan", GAN, examples_dcgan),
            ("digits-vae", VAE, examples_vae),
        ):
            recipe = override(recipe_by_name(name), changes)
            add(
                f"{name}'s networks: examples' loop / ours, fp32",
                "at least 1.1",
                partial(product, recipe, dataset),
                partial(timed, loop, recipe),
            )
        one = override(recipe_by_name("digits-gan"), {"training.images_seen": 12_800, "training.batch_size": 128})
        two = override(one, {"resources.processes_per_node": 2})

        def launched(recipe: Recipe) -> float:
            from components.train.observer import read_history

            with tempfile.TemporaryDirectory() as output:
                launch_training(recipe, dataset, Path(output) / "out")
                speeds = [row["images_per_second"] for row in read_history(Path(output) / "out")]
            return 1.0 / statistics.median(speeds)

        add(
            "one process of two threads / two gloo ranks of one",
            "at least .9",
            lambda: launched(two),
            lambda: launched(one),
        )
    body = table(("ratio of seconds", "median", "range", "aim"), rows)
    write("throughput", "Training speed", "make bench NAME=throughput", f"{options.pairs} pairs each.\n\n{body}")


if __name__ == "__main__":
    main()
