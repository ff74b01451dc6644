"""Which of a VAE's two terms training settles first (theory V13), from its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from components.evaluate.documents import Metric

UNSETTLED_SHARE: Final = 0.1
"""Of a number's change from the first report to the last, that may still be to come."""
FEWEST_REPORTS: Final = 5


def settling(history: Sequence[Mapping[str, float]]) -> dict[str, Metric]:
    """Images at which held-out reconstruction and KL have changed by 90 %, and stay there; none without a history."""
    names = {"images_to_reconstruction": "held_out_reconstruction_nats", "images_to_kl": "held_out_kl_nats"}
    found = {}
    for metric, name in names.items():
        points = [(row["images_seen"], row[name]) for row in history if name in row]
        if len(points) >= FEWEST_REPORTS:
            found[metric] = Metric(value=settled_at(points), count=len(points), unit="images")
    return found


def settled_at(points: Sequence[tuple[float, float]]) -> float:
    """The first moment from which on a number keeps within a tenth of its whole change from its end.

    Args:
        points: (moment, value) in order, at least one.
    """
    first, last = points[0][1], points[-1][1]
    allowed = UNSETTLED_SHARE * abs(last - first)
    moment = points[-1][0]
    for images_seen, value in reversed(points):
        if abs(value - last) > allowed:
            break
        moment = images_seen
    return moment
