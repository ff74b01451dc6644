"""Ring-8 and grid-25 by the protocol of Lin et al. 2018 (PacGAN), table 1: `make bench NAME=mixtures`.

z ~ N(0, I_2); 2,500 samples; high quality: within 3 sigma of the nearest mode; a mode is recovered with at least one
such sample; KL of the histogram of nearest modes against the uniform one. The recipes are the product's own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PUBLISHED = {
    "ring-gan": [
        ("GAN", "6.3", "98.2", ".45"),
        ("ALI", "6.6", "97.6", ".36"),
        ("VEEGAN", "8", "52.9", ""),
        ("PacGAN2", "7.9", "95.6", ".07"),
        ("PacGAN4", "7.8", "95.9", ".07"),
    ],
    "grid-gan": [
        ("GAN", "17.3", "94.8", ".70"),
        ("ALI", "24.1", "95.7", ".14"),
        ("VEEGAN", "24.6", "40", ""),
        ("PacGAN2", "23.8", "91.3", ".13"),
        ("PacGAN4", "24.8", "93.6", ".04"),
    ],
}
SAMPLES = 2_500
TRUE_SHARE = 98.89


def run(arguments: tuple[str, int, int]) -> dict[str, Any]:
    """Train one recipe with one seed and score it."""
    name, seed, budget = arguments
    import torch

    from components.prepare.core import prepare
    from components.recipe import override
    from components.train.checkpoint import load_weights
    from components.train.core import train
    from models.latents import standard_normal_latents
    from models.metrics.modes import high_quality_share, kl_of_histograms, nearest_center, recovered_modes
    from models.mixtures import MIXTURES
    from models.steps.build import build_step
    from models.steps.step import Execution
    from pipelines.recipes import recipe_by_name

    changes: dict[str, Any] = {"seed": seed, "training.threads_per_process": 1}
    if budget:
        changes["training.images_seen"] = budget
    recipe = override(recipe_by_name(name), changes)
    mixture = MIXTURES[recipe.data.source.partition(":")[2]]
    with tempfile.TemporaryDirectory() as directory:
        data, output = Path(directory) / "data", Path(directory) / "checkpoint"
        prepare(recipe.data, data)
        started = time.perf_counter()
        checkpoint = train(recipe, data, output)
        seconds = time.perf_counter() - started
        step = build_step(recipe.model, (2,), 0, Execution(torch.device("cpu")))
        load_weights(output, step.networks)
    latent = torch.from_numpy(standard_normal_latents(recipe.gate.seed, SAMPLES, step.latent_size))
    samples = step.sample(latent).numpy()
    modes = len(mixture.centers)
    shares = np.bincount(nearest_center(samples, mixture.centers)[0], minlength=modes) / SAMPLES
    return {
        "recipe": name,
        "seed": seed,
        "steps": checkpoint.updates,
        "modes": recovered_modes(samples, mixture.centers, mixture.sigma),
        "hq": 100.0 * high_quality_share(samples, mixture.centers, mixture.sigma),
        "kl": kl_of_histograms(shares, np.full(modes, 1.0 / modes)),
        "rollbacks": checkpoint.rollbacks,
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", nargs="*", default=list(PUBLISHED))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--budget", type=int, default=0, help="images seen; the recipe's own where 0")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, one thread each")
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--results", type=Path, help="JSON lines: runs that stand there are not run again")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    results = []
    if options.results and options.results.is_file():
        results = [json.loads(line) for line in options.results.read_text().splitlines()]
    done = {(result["recipe"], result["seed"]) for result in results}
    jobs = [(name, seed, options.budget) for name in options.recipes for seed in seeds if (name, seed) not in done]
    with multiprocessing.get_context("spawn").Pool(options.jobs, maxtasksperchild=1) as pool:
        for result in pool.imap_unordered(run, jobs):
            print(json.dumps(result), flush=True)
            results.append(result)
            if options.results:
                with options.results.open("a") as stream:
                    stream.write(json.dumps(result) + "\n")
    if not options.no_record:
        record(results)


def record(results: list[dict[str, Any]]) -> None:
    """Write the tables: means over seeds beside the published rows, then every run."""
    from benchmarks.record import table, write

    parts = []
    for name, published in PUBLISHED.items():
        runs = sorted((result for result in results if result["recipe"] == name), key=lambda result: result["seed"])
        if not runs:
            continue
        count = 8 if name == "ring-gan" else 25
        floor = (count - 1) / (2 * SAMPLES)
        hq, kl, modes = (np.array([result[key] for result in runs]) for key in ("hq", "kl", "modes"))
        mean = (
            f"**{name}**, {runs[0]['steps']:,} steps",
            f"**{modes.mean():.1f}** (all on {int((modes == count).sum())} of {len(runs)})",
            f"**{hq.mean():.2f}** ± {hq.std(ddof=1) / len(runs) ** 0.5 if len(runs) > 1 else 0:.2f}",
            f"**{kl.mean():.4f}**",
        )
        header = (name.partition("-")[0], "modes", "high quality %", "KL")
        every = [
            (r["seed"], r["modes"], f"{r['hq']:.2f}", f"{r['kl']:.4f}", r["rollbacks"], f"{r['seconds']:.0f}")
            for r in runs
        ]
        parts.append(
            f"## {name}\n\n{table(header, [*published, mean])}\n\n"
            f"True samples score {TRUE_SHARE} % (above it is under-dispersion) and a KL of {floor:.4f} on average.\n\n"
            + table(("seed", "modes", "high quality %", "KL", "roll-backs", "seconds"), every)
        )
    note = (
        "Published rows: Lin et al. 2018, table 1 (means of 10 runs, 400,000 steps of theirs); VEEGAN: Srivastava et "
        "al. 2017, table 1. The mean of ours is ± its standard error."
    )
    path = write("mixtures", "Mixtures of Gaussians", "make bench NAME=mixtures", f"{note}\n\n" + "\n\n".join(parts))
    print(path)


if __name__ == "__main__":
    main()
