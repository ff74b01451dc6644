"""When a number has settled: within a tenth of its whole change from its end, and staying there."""

from __future__ import annotations

import pytest

from components.compare.order import FEWEST_REPORTS, settled_at, settling


@pytest.mark.parametrize(
    ("values", "moment"),
    [
        ([100.0, 50.0, 9.0, 5.0, 0.0], 2),
        ([0.0, 2.0, 4.0, 8.0, 9.2, 10.0], 4),
        ([0.0, 9.5, 3.0, 9.5, 10.0], 3),  # there once is not there to stay
        ([0.0, 30.0, 12.0, 10.5, 10.0], 3),  # from above after an overshoot
        ([5.0, 5.0, 5.0], 0),
        ([0.0, 1.0], 1),
    ],
)
def test_the_moment_is_that_after_the_last_report_that_was_still_away(values: list[float], moment: int) -> None:
    assert settled_at(list(enumerate(values))) == moment


def test_both_terms_are_read_from_the_history() -> None:
    rows = [
        {
            "images_seen": 100.0 * index,
            "held_out_reconstruction_nats": 500.0 * 0.5**index,
            "held_out_kl_nats": 2.0 * index,
        }
        for index in range(11)
    ]
    found = settling([{"images_seen": 0.0, "loss": 1.0}, *rows])
    assert {name: metric.value for name, metric in found.items()} == {
        "images_to_reconstruction": 400.0,
        "images_to_kl": 900.0,
    }
    assert settling(rows[: FEWEST_REPORTS - 1]) == {}
    assert settling([]) == {}
