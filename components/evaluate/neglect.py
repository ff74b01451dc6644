"""Which modes of the data a model neglects, and which of many are shown."""

from __future__ import annotations

import math
from typing import Final

from components.evaluate.documents import Metrics

MOST_BARS: Final = 25


def shown_modes(metrics: Metrics) -> tuple[list[str], list[float], list[float], str]:
    """Names, shares of the samples, shares of the data, and a note where not all modes are shown."""
    rows = list(zip(metrics.mode_names, metrics.mode_shares, metrics.real_mode_shares, strict=True))
    note = ""
    if len(rows) > MOST_BARS:
        weakest = sorted(range(len(rows)), key=lambda index: (_share_of_due(rows[index][1], rows[index][2]), index))
        note = f"The {MOST_BARS} most neglected of {len(rows):,} modes, weakest first."
        rows = [rows[index] for index in weakest[:MOST_BARS]]
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], note


def neglected(metrics: Metrics) -> list[str]:
    """The modes with less than half of their share of the data, weakest first."""
    rows = zip(metrics.mode_names, metrics.mode_shares, metrics.real_mode_shares, strict=True)
    due = sorted(
        (_share_of_due(share, real_share), index, name) for index, (name, share, real_share) in enumerate(rows)
    )
    return [name for relative, _, name in due if relative < 0.5]


def _share_of_due(share: float, real_share: float) -> float:
    return share / real_share if math.isfinite(share) and real_share > 0.0 else math.inf
