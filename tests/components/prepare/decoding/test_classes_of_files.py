"""Every class of files times every format: the known picture with what is to be said of it, or the known reason."""

from __future__ import annotations

import numpy as np
import pytest

from components.prepare.decoding.decode import decode
from components.prepare.decoding.picture import BOMB, FORMATS, Picture, smaller_than
from components.prepare.settings import DataSettings
from tests.components.prepare.decoding.cases import BAD, GOOD, WHOLE

NATIVE = DataSettings(image_size=None, channels=3)


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_shows_its_picture_and_says_what_was_done(name: str) -> None:
    case = GOOD[name]
    picture = decode(case.content, NATIVE)
    assert isinstance(picture, Picture), picture
    assert (picture.format, set(picture.notes)) == (case.format, set(case.notes))
    assert (picture.height, picture.width) == case.shown.shape[:2]
    assert picture.pixels.dtype == np.uint8 and picture.pixels.flags.c_contiguous
    difference = np.abs(picture.pixels.transpose(1, 2, 0).astype(int) - case.shown)
    assert difference.max() <= case.steps


@pytest.mark.parametrize("name", GOOD)
def test_grey_is_the_luma_of_the_colours(name: str) -> None:
    case = GOOD[name]
    picture = decode(case.content, NATIVE.model_copy(update={"channels": 1}))
    assert isinstance(picture, Picture), picture
    luma = case.shown @ np.array([0.299, 0.587, 0.114])
    assert np.abs(picture.pixels[0] - luma).max() <= max(case.steps, 0.51)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_rejected_for_its_reason(name: str) -> None:
    assert decode(BAD[name].content, NATIVE) in BAD[name].reasons


@pytest.mark.parametrize("kind", FORMATS)
def test_the_limits_on_sizes_hold_for_every_format(kind: str) -> None:
    content = WHOLE[kind]
    assert isinstance(decode(content, NATIVE.model_copy(update={"minimum_side": 24, "maximum_pixels": 960})), Picture)
    assert decode(content, NATIVE.model_copy(update={"minimum_side": 25})) == smaller_than(25)
    assert decode(content, NATIVE.model_copy(update={"maximum_pixels": 959})) == BOMB


@pytest.mark.parametrize("kind", FORMATS)
def test_decoding_twice_gives_the_same_bytes(kind: str) -> None:
    settings = DataSettings(image_size=16, channels=3)
    first, second = decode(WHOLE[kind], settings), decode(WHOLE[kind], settings)
    assert isinstance(first, Picture) and isinstance(second, Picture)
    assert first.pixels.tobytes() == second.pixels.tobytes()
    assert first.notes == second.notes
