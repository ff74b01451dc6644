"""Each transformation against its known effect; what D is steered by."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.augmentation import (
    DRAWS_PER_SAMPLE,
    MAXIMAL_ANGLE,
    MAXIMAL_BRIGHTNESS,
    MAXIMAL_CONTRAST,
    MAXIMAL_SCALE,
    MAXIMAL_SHIFT,
    Strength,
    augment,
    separation_of,
)
from models.config import AugmentationSettings

ALL = AugmentationSettings(mirror=True, colour=True)
PLACES = ("mirror", "shift", "rotate", "scale", "contrast", "brightness")
AMOUNTS = ("right", "down", "rotate", "scale", "contrast", "brightness")
HALF, ONE = torch.tensor(0.5), torch.tensor(1.0)


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return 2.0 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1.0


def smooth(height: int = 32, width: int = 32) -> Tensor:
    """A bump off the centre, broad enough that bilinear reading is nearly exact, [1, 1, H, W]."""
    y = (torch.arange(height, dtype=torch.float64) + 0.5)[:, None]
    x = (torch.arange(width, dtype=torch.float64) + 0.5)[None, :]
    return torch.exp(-((x - 0.6 * width) ** 2 + (y - 0.4 * height) ** 2) / 32.0)[None, None]


def only(*hit: str, rows: int = 1, **amount: float) -> Tensor:
    """Draws that hit the named transformations at probability 1/2, by amounts in [-1, 1)."""
    uniform = torch.full((rows, DRAWS_PER_SAMPLE), 0.9, dtype=torch.float64)
    uniform[:, 6:] = 0.5
    for name in hit:
        uniform[:, PLACES.index(name)] = 0.1
    for name, value in amount.items():
        uniform[:, 6 + AMOUNTS.index(name)] = 0.5 * (value + 1.0)
    return uniform


def center_of_mass(picture: Tensor) -> tuple[float, float]:
    """x and y in pixels from the middle, of [1, 1, H, W]."""
    height, width = picture.shape[2:]
    y = (torch.arange(height, dtype=torch.float64) + 0.5 - height / 2)[:, None]
    x = (torch.arange(width, dtype=torch.float64) + 0.5 - width / 2)[None, :]
    mass = picture[0, 0] / picture.sum()
    return float((mass * x).sum()), float((mass * y).sum())


def test_at_probability_zero_pictures_come_back_exactly() -> None:
    samples = pictures(6, 3, 9, 12)
    uniform = torch.rand(6, DRAWS_PER_SAMPLE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.equal(augment(samples, torch.tensor(0.0), uniform, ALL), samples)
    assert torch.equal(augment(samples, torch.tensor(0.0), torch.zeros_like(uniform), ALL), samples)


def test_a_picture_that_nothing_hits_comes_back_exactly_beside_one_that_is_hit() -> None:
    samples = pictures(2, 1, 8, 8)
    out = augment(samples, HALF, torch.cat([only(), only("shift", "contrast", right=0.8, contrast=0.5)]), ALL)
    assert torch.equal(out[0], samples[0])
    assert (out[1] - samples[1]).abs().max() > 0.05


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 9, 12)])
def test_a_pure_mirror_exchanges_left_and_right(shape: tuple[int, ...]) -> None:
    samples = pictures(*shape)
    mirrored = augment(samples, HALF, only("mirror", rows=2), ALL)
    torch.testing.assert_close(mirrored, samples.flip(3), rtol=0, atol=1e-9)
    torch.testing.assert_close(augment(mirrored, HALF, only("mirror", rows=2), ALL), samples, rtol=0, atol=1e-9)


def test_digits_are_not_mirrored() -> None:
    samples = pictures(2, 1, 8, 8)
    assert torch.equal(augment(samples, HALF, only("mirror", rows=2), AugmentationSettings(mirror=False)), samples)


@pytest.mark.parametrize("name", ["shift", "rotate", "scale"])
def test_a_movement_by_nothing_changes_nothing(name: str) -> None:
    samples = pictures(2, 3, 9, 12)
    torch.testing.assert_close(augment(samples, HALF, only(name, rows=2), ALL), samples, rtol=0, atol=1e-9)


def test_the_greatest_shift_is_an_eighth_of_the_picture() -> None:
    """An amount of 1 to the right moves what is seen 12.5 % of the width to the right of the old place."""
    samples = pictures(1, 1, 16, 32)
    moved = augment(samples, HALF, only("shift", right=1.0, down=-1.0), ALL)  # 4 columns, 2 rows
    assert MAXIMAL_SHIFT * 32 == 4.0
    torch.testing.assert_close(moved[:, :, 2:, :-4], samples[:, :, :-2, 4:], rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", [(32, 32), (48, 32)])
def test_the_greatest_rotation_turns_by_fifteen_degrees_around_the_middle(size: tuple[int, int]) -> None:
    picture = smooth(*size)
    before = complex(*center_of_mass(picture))
    after = complex(*center_of_mass(augment(picture, HALF, only("rotate", rotate=1.0), ALL)))
    turned = after / before
    assert abs(turned) == pytest.approx(1.0, abs=0.02)
    assert abs(math.atan2(turned.imag, turned.real)) == pytest.approx(MAXIMAL_ANGLE, abs=0.02)
    assert math.degrees(MAXIMAL_ANGLE) == pytest.approx(15.0)


@pytest.mark.parametrize("amount", [1.0, -1.0])
def test_the_greatest_scale_is_a_fifth_of_an_octave(amount: float) -> None:
    picture = smooth()
    before = complex(*center_of_mass(picture))
    after = complex(*center_of_mass(augment(picture, HALF, only("scale", scale=amount), ALL)))
    ratio = after / before
    assert ratio.real == pytest.approx(2.0 ** (-MAXIMAL_SCALE * amount), rel=0.02)
    assert ratio.imag == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("amount", [1.0, 0.3, -1.0])
def test_brightness_adds_and_contrast_multiplies(amount: float) -> None:
    samples = pictures(3, 3, 8, 8)
    brighter = augment(samples, HALF, only("brightness", rows=3, brightness=amount), ALL)
    torch.testing.assert_close(brighter, samples + MAXIMAL_BRIGHTNESS * amount)
    harder = augment(samples, HALF, only("contrast", rows=3, contrast=amount), ALL)
    torch.testing.assert_close(harder, samples * 2.0 ** (MAXIMAL_CONTRAST * amount))
    both = augment(samples, HALF, only("brightness", "contrast", rows=3, brightness=amount, contrast=amount), ALL)
    torch.testing.assert_close(both, samples * 2.0 ** (MAXIMAL_CONTRAST * amount) + MAXIMAL_BRIGHTNESS * amount)


def test_without_colour_every_value_was_in_the_picture_or_between() -> None:
    samples = pictures(8, 1, 9, 9)
    uniform = torch.rand(8, DRAWS_PER_SAMPLE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain = augment(samples, ONE, uniform, AugmentationSettings(colour=False))
    assert plain.abs().max() <= samples.abs().max()
    coloured = augment(samples, ONE, uniform, AugmentationSettings(colour=True))
    contrast = 2.0 ** (MAXIMAL_CONTRAST * (2.0 * uniform[:, 10] - 1.0))
    brightness = MAXIMAL_BRIGHTNESS * (2.0 * uniform[:, 11] - 1.0)
    expected = plain * contrast.view(-1, 1, 1, 1) + brightness.view(-1, 1, 1, 1)
    torch.testing.assert_close(coloured, expected)


def test_at_probability_one_every_picture_is_changed_and_at_one_half_about_half_by_each() -> None:
    samples = pictures(400, 1, 8, 8)
    uniform = torch.rand(400, DRAWS_PER_SAMPLE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    changed = [
        (augment(samples, torch.tensor(p), uniform, ALL) != samples).flatten(1).any(dim=1).double().mean().item()
        for p in (0.1, 0.5, 1.0)
    ]
    assert changed[0] == pytest.approx(1.0 - 0.9**6, abs=0.1)
    assert changed[1] == pytest.approx(1.0 - 0.5**6, abs=0.03)
    assert changed[2] == 1.0


def test_the_same_draws_give_the_same_pictures_whatever_stands_beside() -> None:
    samples = pictures(5, 1, 8, 8)
    uniform = torch.rand(5, DRAWS_PER_SAMPLE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    out = augment(samples, ONE, uniform, ALL)
    assert torch.equal(augment(samples, ONE, uniform, ALL), out)
    for row in range(5):
        alone = augment(samples[row : row + 1], ONE, uniform[row : row + 1], ALL)
        torch.testing.assert_close(alone[0], out[row], rtol=0, atol=1e-12)


def test_gradients_pass_and_match_central_differences() -> None:
    samples = pictures(2, 1, 4, 5).requires_grad_()
    uniform = torch.rand(2, DRAWS_PER_SAMPLE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda at: augment(at, ONE, uniform, ALL), (samples,))
    (gradient,) = torch.autograd.grad(augment(samples, ONE, uniform, ALL).sum(), samples)
    assert (gradient != 0).double().mean() > 0.5


def test_the_type_of_pictures_is_kept() -> None:
    samples = pictures(2, 1, 8, 8).float()
    assert augment(samples, ONE, torch.rand(2, DRAWS_PER_SAMPLE), ALL).dtype == torch.float32


@pytest.mark.parametrize(("separation", "direction"), [(0.9, 1.0), (0.61, 1.0), (0.6, 0.0), (0.5, -1.0), (-1.0, -1.0)])
def test_strength_moves_by_the_images_share_towards_its_target(separation: float, direction: float) -> None:
    strength = Strength()
    strength.value.fill_(0.5)
    strength.follow(torch.tensor(separation), target=0.6, images=64, images_to_full=1000)
    assert strength.value.item() == pytest.approx(0.5 + 0.064 * direction)


def test_strength_goes_from_none_to_full_in_as_many_images_as_said_and_stays_within() -> None:
    strength = Strength()
    assert strength.value.item() == 0.0
    strength.follow(torch.tensor(-1.0), target=0.6, images=100, images_to_full=1000)
    assert strength.value.item() == 0.0
    for update in range(1, 13):
        strength.follow(torch.tensor(1.0), target=0.6, images=100, images_to_full=1000)
        assert strength.value.item() == pytest.approx(min(1.0, 0.1 * update))
    assert strength.value.item() == 1.0


def test_strength_is_kept_by_checkpoints_and_not_trained() -> None:
    strength, again = Strength(), Strength()
    strength.value.fill_(0.3)
    again.load_state_dict(strength.state_dict())
    assert again.value.item() == pytest.approx(0.3)
    assert not list(strength.parameters())


def test_separation_is_the_share_of_pairs_told_minus_the_share_mistaken() -> None:
    real, fake = torch.tensor([2.0, 1.0, 0.0, 5.0]), torch.tensor([1.0, 2.0, 0.0, -5.0])
    assert separation_of(real, fake).item() == 0.25  # two told, one mistaken, one the same
    assert separation_of(fake, real).item() == -0.25
    assert separation_of(real + 7.0, fake + 7.0).item() == 0.25  # a critic's offset is free
    assert separation_of(real, real).item() == 0.0
    assert separation_of(real + 9.0, real).item() == 1.0
