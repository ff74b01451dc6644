"""The Fréchet distance in its own unit: what chance alone makes of two halves of the real data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from components.evaluate.documents import Check, Metrics
from components.evaluate.words import number

FRECHET_DISTANCE: Final = "frechet_distance"
"""The metric, and the check, that are distances and stated as multiples of ``Metrics.frechet_floor``."""


@dataclass(frozen=True)
class FloorMultiple:
    """The Fréchet distance in units of the real-vs-real floor; None, with the reason, where it has none."""

    value: float | None
    interval: tuple[float, float] | None
    limit: float | None
    champion: float | None
    reason: str


def frechet_in_floors(metrics: Metrics, checks: Sequence[Check]) -> FloorMultiple:
    """The Fréchet distance, its limit and the champion's as multiples of the real-vs-real floor."""

    def unknown(reason: str) -> FloorMultiple:
        return FloorMultiple(None, None, None, None, reason)

    metric, floor = metrics.metrics.get(FRECHET_DISTANCE), metrics.frechet_floor.value
    check = next((one for one in checks if one.name == FRECHET_DISTANCE), None)
    if metric is None:
        return unknown("the Fréchet distance was not measured for this recipe")
    if metric.value is None or not math.isfinite(metric.value):
        return unknown(check.reason if check else "the Fréchet distance could not be computed")
    if floor is None or not math.isfinite(floor):
        return unknown("the real-vs-real floor could not be computed")
    if floor <= 0.0:
        return unknown(f"the real-vs-real floor is {number(floor)}: too little held-out data to tell it from zero")
    champion = metrics.champion.get(FRECHET_DISTANCE)
    return FloorMultiple(
        value=metric.value / floor,
        interval=None if metric.interval is None else (metric.interval[0] / floor, metric.interval[1] / floor),
        limit=None if check is None or check.limit is None else check.limit / floor,
        champion=None if champion is None or champion.value is None else champion.value / floor,
        reason="",
    )
