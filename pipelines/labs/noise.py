"""G7 and G8: disjoint supports stop the minimax G; noise on both sides, fading out, lets it arrive."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from components.train.sampler import Sampler
from models.alarms import alarms_of
from models.config import (
    GanSettings,
    InstanceNoise,
    LinearNoise,
    MinimaxSettings,
    MlpSettings,
    NoNoise,
    NonSaturatingSettings,
    Objective,
    TrainingSettings,
)
from models.steps.batch import Batch, Moment
from models.steps.gan import GanStep
from models.steps.step import TrainingStep, gradient_norm
from pipelines.labs.figures import BLUE, GREEN, GREY, ORANGE, VIOLET, figure, label, to_png
from pipelines.labs.result import Finding, about, at_least, at_most, shown
from pipelines.labs.training import draws_of, new_step, train

CLAIM = (
    "Where the supports are disjoint D is perfect and the minimax G gets no gradient; "
    "noise on both sides makes them overlap, and G arrives as it fades."
)
AWAY = 4.0
THICKNESS = 0.05
NOISE = LinearNoise(sigma=2.0, until_share=0.7)
RUNS: dict[str, tuple[Objective, InstanceNoise]] = {
    "minimax": (MinimaxSettings(), NoNoise()),
    "minimax, noise": (MinimaxSettings(), NOISE),
    "non-saturating": (NonSaturatingSettings(), NoNoise()),
    "minimax, slower D": (MinimaxSettings(), NoNoise()),
}
RATES = {"minimax, slower D": 1e-3}
REPORTS_AHEAD = 4
FAST = 5e-3
"""D's learning rate elsewhere, five times G's: a D near its best is what the theory speaks of."""


@dataclass(frozen=True)
class Size:
    """How much is computed."""

    images_seen: int = 96_000
    batch_size: int = 64
    discriminator_steps: int = 4
    updates_ahead: int = 200
    """In which D trains while G waits, so that it is near its best where G begins."""
    hidden_width: int = 32
    rows: int = 20_000


@dataclass
class Watched:
    """What is seen of a run while it goes on."""

    progress: list[float] = field(default_factory=list)
    distance: list[float] = field(default_factory=list)
    """Of the mean of G's samples from the data's."""
    gradient: list[float] = field(default_factory=list)
    """Of G's latest update; the first is against the D that was trained ahead."""
    reports: list[dict[str, float]] = field(default_factory=list)
    alarms: set[str] = field(default_factory=set)
    samples: Tensor = field(default_factory=lambda: torch.empty(0, 2))
    sigma: float = 0.0


def thin_line(rows: int, seed: int) -> Tensor:
    """A short thin stroke far from where a new G puts its samples, [rows, 2]."""
    noise = torch.randn(rows, 2, generator=torch.Generator().manual_seed(seed))
    return torch.tensor([AWAY, 0.0]) + torch.tensor([THICKNESS, 0.5]) * noise


def watch(name: str, data: Tensor, seed: int, size: Size) -> Watched:
    """One of the runs, seen while it goes on."""
    objective, noise = RUNS[name]
    network = MlpSettings(hidden_width=size.hidden_width, hidden_layers=2)
    settings = GanSettings(
        latent_size=2,
        generator=network,
        discriminator=network,
        objective=objective,
        instance_noise=noise,
        discriminator_steps=size.discriminator_steps,
        discriminator_learning_rate=RATES.get(name, FAST),
        r1_weight=0.0,
        r2_weight=0.0,
    )
    step = new_step(settings, (2,), seed)
    watched = Watched()
    latent = draws_of(seed).normal("latent", 1000, 2)

    def report(progress: float) -> None:
        watched.reports.append(step.diagnose(Batch(data[:500]), Batch(data[500:1000]), draws_of(seed)))
        watched.alarms |= {alarm.name for alarm in alarms_of(watched.reports, progress=progress)}

    def observe(images_seen: int, running: TrainingStep) -> None:
        assert isinstance(running, GanStep)
        with torch.no_grad():
            watched.samples = running.generator(latent)
        progress = images_seen / size.images_seen
        watched.progress.append(progress)
        watched.distance.append(float((watched.samples.mean(dim=0) - data.mean(dim=0)).norm()))
        watched.gradient.append(gradient_norm(running.generator))
        report(progress)
        watched.sigma = running.report().get("instance_noise", 0.0)

    training = TrainingSettings(images_seen=size.images_seen, batch_size=size.batch_size)
    _train_ahead(step, data, training, size.updates_ahead, seed, report)
    train(step, data, training, seed, observe=observe, observations=12)
    return watched


def _train_ahead(
    step: TrainingStep,
    data: Tensor,
    training: TrainingSettings,
    updates: int,
    seed: int,
    report: Callable[[float], None],
) -> None:
    """Updates of both players after each of which G is put back to where it began."""
    generator, optimizer = step.networks["generator"], step.optimizers["generator"]
    start = copy.deepcopy((generator.state_dict(), optimizer.state_dict()))
    sampler = Sampler(len(data), seed + 1)
    rows = training.batch_size * step.batches_per_update
    for update in range(updates):
        batches = Batch(data[torch.from_numpy(sampler.rows_at(update * rows, rows))]).split(step.batches_per_update)
        step.update(batches, draws_of(seed, f"ahead-{update}"), Moment(images_seen=0, progress=0.0))
        generator.load_state_dict(start[0])
        optimizer.load_state_dict(copy.deepcopy(start[1]))
        if (update + 1) * REPORTS_AHEAD % updates < REPORTS_AHEAD:
            report(0.0)


def run(seed: int, size: Size = Size()) -> Finding:
    """The same start with and without noise."""
    data = thin_line(size.rows, seed)
    runs = {name: watch(name, data, seed, size) for name in RUNS}
    bare, noisy, steep, slower = (runs[name] for name in RUNS)
    start = bare.distance[0]
    share = bare.reports[REPORTS_AHEAD]["jsd_bound_held_out_share_of_log2"]
    apart = bare.reports[-1]["energy_distance"] / max(noisy.reports[-1]["energy_distance"], 1e-3)
    gain = noisy.gradient[0] / max(bare.gradient[0], 1e-30)
    off_with_slower = slower.distance[-1] / start
    quantities = (
        shown("distance of G from the data at the start", start),
        at_least("no noise: bound on the JSD at the start, held-out, share of log 2", share, 0.98),
        shown("no noise: gradient of G at the start", bare.gradient[0]),
        shown("non-saturating, no noise: gradient of G at the start", steep.gradient[0]),
        at_least(
            "no noise: the alarm disjoint-supports was given (1: yes)", float("disjoint-supports" in bare.alarms), 1
        ),
        shown("no noise: distance of G at the end, share of the start", bare.distance[-1] / start),
        at_least("no noise: energy distance at the end, over that with noise", apart, 10.0),
        at_least("gradient of G at the start, with noise over without", gain, 10.0),
        at_most("noise: distance of G at the end, share of the start", noisy.distance[-1] / start, 0.05),
        about("noise: its sigma at the end", noisy.sigma, 0.0, 0.0),
        shown("noise: energy distance at the end", noisy.reports[-1]["energy_distance"]),
        shown("non-saturating, no noise: distance at the end, share of the start", steep.distance[-1] / start),
        shown("non-saturating, no noise: energy distance at the end", steep.reports[-1]["energy_distance"]),
        shown("slower D, no noise: gradient of G at the start", slower.gradient[0]),
        shown("slower D, no noise: distance at the end, share of the start", off_with_slower),
    )
    return Finding(
        claim=CLAIM,
        if_confirmed="without noise D is perfect and the minimax G stays away; with noise it arrives, and the noise is "
        f"gone. (Without noise against a slower D it ends {off_with_slower:.0%} of the way off.)",
        if_refuted="disjoint supports, or noise on both sides, do not do all that is claimed of them.",
        quantities=quantities,
        picture=_picture(runs, data),
    )


def _picture(runs: dict[str, Watched], data: Tensor) -> bytes:
    page, (distance, gradient, samples) = figure(3, width=3.5)
    samples.plot(*data[:300].T, ".", color=GREY, markersize=3, label="data")
    for (name, watched), color in zip(runs.items(), (ORANGE, BLUE, VIOLET, GREEN), strict=True):
        distance.plot(watched.progress, watched.distance, color=color, label=name)
        gradient.plot(watched.progress, watched.gradient, color=color, label=name)
        samples.plot(*watched.samples[:300].T, ".", color=color, markersize=3, label=name)
    gradient.set_yscale("log")
    label(distance, "Distance of G from the data", "share of the budget", "distance of the means")
    label(gradient, "Gradient that G gets", "share of the budget", "norm over all weights")
    label(samples, "Samples at the end", "x", "y")
    return to_png(page)
