"""The learning rate over a run: bounded, warm-up, plateau, decay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.train.schedule import learning_rate_share
from models.config import TrainingSettings

SETTINGS = TrainingSettings(images_seen=1_000, warmup_images=100, decay_start_share=0.5, final_learning_rate_share=0.1)


@given(
    images_seen=st.integers(0, 3_000),
    warmup=st.integers(0, 2_000),
    start=st.floats(0, 1),
    final=st.floats(0, 1),
)
def test_it_is_a_share_whatever_the_settings(images_seen: int, warmup: int, start: float, final: float) -> None:
    settings = TrainingSettings(
        images_seen=1_000, warmup_images=warmup, decay_start_share=start, final_learning_rate_share=final
    )
    assert 0.0 <= learning_rate_share(images_seen, settings) <= 1.0


def test_it_rises_then_stays_then_falls() -> None:
    shares = [learning_rate_share(images, SETTINGS) for images in range(0, 1_001, 10)]
    assert shares[:11] == sorted(shares[:11])
    assert 0.0 < shares[0] < 0.02
    assert set(shares[10:51]) == {1.0}
    assert shares[50:] == sorted(shares[50:], reverse=True)
    assert len(set(shares[51:])) == 50


@pytest.mark.parametrize("images_seen", [1_000, 1_001, 10_000])
def test_it_ends_at_the_final_share_and_stays_there(images_seen: int) -> None:
    assert learning_rate_share(images_seen, SETTINGS) == pytest.approx(0.1)


def test_half_way_down_it_is_half_way_down() -> None:
    assert learning_rate_share(750, SETTINGS) == pytest.approx(0.55)


def test_without_decay_it_stays() -> None:
    settings = SETTINGS.model_copy(update={"decay_start_share": 1.0, "warmup_images": 0})
    assert {learning_rate_share(images, settings) for images in (0, 500, 1_000)} == {1.0}
