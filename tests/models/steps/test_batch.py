"""A batch and its equal parts; a moment that scales nothing by itself."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from models.steps.batch import Batch, Moment


@pytest.mark.parametrize("parts", [1, 2, 3, 6])
@pytest.mark.parametrize("labelled", [True, False])
def test_the_parts_of_a_batch_are_equal_and_make_it_again(parts: int, labelled: bool) -> None:
    batch = Batch(torch.randn(12, 1, 2, 2), torch.arange(12) if labelled else None)
    pieces = batch.split(parts)
    assert [len(piece) for piece in pieces] == [12 // parts] * parts
    assert torch.equal(torch.cat([piece.samples for piece in pieces]), batch.samples)
    labels = [piece.labels for piece in pieces if piece.labels is not None]
    assert len(labels) == (parts if labelled else 0)
    if labelled:
        assert torch.equal(torch.cat(labels), torch.arange(12))


def test_a_bare_moment_scales_nothing() -> None:
    moment = Moment(images_seen=0, progress=0.0)
    assert (moment.learning_rate_share, moment.penalty_factor, moment.instance_noise) == (1.0, 1.0, 0.0)


def test_a_moment_and_a_batch_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Moment(0, 0.0).progress = 0.5  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Batch(torch.zeros(1)).samples = torch.ones(1)  # type: ignore[misc]
