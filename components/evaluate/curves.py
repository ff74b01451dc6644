"""The training curves as charts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from markupsafe import Markup

from components.evaluate.words import plain_words
from components.figures.charts import Ceiling, Series, line_chart

LOG_2: Final = math.log(2.0)

_WORDS: Final = {
    "aggregate_to_prior_nats": "Codes of all data against the prior, nats",
    "mutual_information_nats": "Mutual information of data and code, nats",
    "posterior_sigma": "Mean sigma of the posteriors",
    "noise_to_signal": "Noise of the codes to their spread",
}
"""Curves that training alone records, as people say them."""
_OF_A_DIMENSION: Final = re.compile(r"(.+)/\d+")


@dataclass(frozen=True)
class Curve:
    """One chart of the training curves."""

    title: str
    svg: Markup


def training_curves(history: Sequence[Mapping[str, float]]) -> list[Curve]:
    """The charts that the recorded names ask for; names of no known group get a chart each."""
    recorded = {name for row in history for name in row}
    ceiling = Ceiling(LOG_2, "log 2: D tells every sample apart")
    groups: list[tuple[str, str, list[Series], Ceiling | None]] = [
        (
            "Losses of the two players",
            "loss",
            _series(history, {"discriminator_loss": "discriminator", "generator_loss": "generator"}),
            None,
        ),
        (
            "Jensen-Shannon divergence, lower bound from D",
            "nats",
            _series(history, {"jsd_bound_train": "training data", "jsd_bound_held_out": "held-out data"}),
            ceiling,
        ),
        (
            "Gradient penalties",
            "penalty",
            _series(history, {"r1": "at real (R1)", "r2": "at samples (R2)"}),
            None,
        ),
        _autoencoding_group(history, recorded),
        (
            "Where the KL comes from",
            "nats per sample",
            _series(history, {"kl_nats_from_mean": "means", "kl_nats_from_variance": "variances"}),
            None,
        ),
    ]
    known = {"images_seen", "step", "seconds", "wall_seconds"}
    known |= {
        "discriminator_loss",
        "generator_loss",
        "r1",
        "r2",
        "kl_nats_from_mean",
        "kl_nats_from_variance",
    }
    known |= {"jsd_bound_train", "jsd_bound_held_out"}
    known |= {f"{prefix}{name}" for prefix in ("", "held_out_") for name in ("loss", "reconstruction_nats", "kl_nats")}
    groups += _per_dimension(history, recorded - known)
    for name in sorted(recorded - known):
        # The share of log 2 is the bound's own chart with its ceiling.
        if name.startswith("held_out_") or name.endswith("_share_of_log2") or _OF_A_DIMENSION.fullmatch(name):
            continue
        lines = {name: "training", f"held_out_{name}": "held-out"}
        words = _WORDS.get(name, plain_words(name))
        groups.append((words, words.lower(), _series(history, lines), None))
    return [
        Curve(title, Markup(line_chart(title, series, x_label="images seen", y_label=unit, ceiling=ceiling)))
        for title, unit, series, ceiling in groups
        if series
    ]


def _per_dimension(
    history: Sequence[Mapping[str, float]], names: set[str]
) -> list[tuple[str, str, list[Series], Ceiling | None]]:
    """One chart for all dimensions of a quantity, a line each: which of them are in use shows without their names."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        match = _OF_A_DIMENSION.fullmatch(name)
        if match:
            found.setdefault(match[1], []).append(name)
    groups: list[tuple[str, str, list[Series], Ceiling | None]] = []
    for quantity, members in found.items():
        words = plain_words(quantity)
        series = [
            replace(line, name="a line for each dimension" if not index else "", color=1)
            for index, line in enumerate(_series(history, {name: name for name in members}))
        ]
        groups.append((f"{words}, dimension by dimension", words.lower().replace("kl", "KL"), series, None))
    return groups


def _autoencoding_group(
    history: Sequence[Mapping[str, float]], recorded: set[str]
) -> tuple[str, str, list[Series], Ceiling | None]:
    if "kl_nats" not in recorded:
        lines = {"loss": "training", "held_out_loss": "held-out"}
        return "Reconstruction loss", "loss per sample", _series(history, lines), None
    terms = {"loss": "loss", "reconstruction_nats": "reconstruction", "kl_nats": "KL"}
    series = []
    for color, (name, label) in enumerate(terms.items(), start=1):
        series += _series(history, {name: label}, color=color)
        series += _series(history, {f"held_out_{name}": f"{label}, held-out"}, color=color, dashed=True)
    return "Negative ELBO and its terms", "nats per sample", series, None


def _series(
    history: Sequence[Mapping[str, float]], lines: Mapping[str, str], *, color: int = 1, dashed: bool = False
) -> list[Series]:
    """A line for each name that was recorded, in ascending colours."""
    found: list[Series] = []
    for name, label in lines.items():
        points = [(row["images_seen"], row[name]) for row in history if name in row and "images_seen" in row]
        if points:
            found.append(Series(label, points, color=color + len(found), dashed=dashed))
    return found
