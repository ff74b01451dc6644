"""Laws of decoding: the square that is asked for, upright, with every choice of the settings."""

from __future__ import annotations

import threading
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image, ImageFile

from components.prepare.decoding import exif
from components.prepare.decoding.decode import decode
from components.prepare.decoding.framing import stored_window, turned, upright_size, upright_window
from components.prepare.decoding.picture import CMYK, SCALED_DECODE, TURNED, Picture
from components.prepare.decoding.resize import resize_square
from components.prepare.settings import DataSettings
from tests.components.prepare.decoding.cases import WHOLE
from tests.components.prepare.decoding.files import as_stored, chunk, png, saved
from tests.components.prepare.decoding.files import exif as exif_block


def decoded(content: bytes, **settings: Any) -> Picture:
    result = decode(content, DataSettings.model_validate({"channels": 3, **settings}))
    assert isinstance(result, Picture), result
    return result


def photograph(height: int, width: int) -> np.ndarray:
    """Smooth, with texture: uint8 [H, W, 3]."""
    random = np.random.Generator(np.random.PCG64(3))
    coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((width, height), 3)
    return np.clip(np.asarray(coarse) + random.normal(0, 5, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_file_gives_the_upright_files_pixels(orientation: int, fit: Literal["crop", "pad"]) -> None:
    upright = photograph(33, 50)  # an odd difference of sides, so that the place of the square matters
    content = png(as_stored(upright, orientation), 8, 2, before=[chunk(b"eXIf", exif_block(orientation))])
    picture = decoded(content, image_size=16, fit=fit)
    assert np.array_equal(picture.pixels, resize_square(upright.transpose(2, 0, 1), 16, fit))
    assert (picture.width, picture.height) == (50, 33)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_box_of_the_upright_picture_is_found_in_the_stored_one(orientation: int) -> None:
    stored = np.arange(7 * 11).reshape(7, 11)
    upright = turned(stored, orientation)
    width, height = upright_size(11, 7, orientation)
    assert upright.shape == (height, width)
    window = stored_window((1, 2, 5, 6), width, height, orientation)
    left, top, right, bottom = map(int, window)
    assert np.array_equal(turned(stored[top:bottom, left:right], orientation), upright[2:6, 1:5])
    assert upright_window(window, 11, 7, orientation) == (1, 2, 5, 6)


@pytest.mark.parametrize(
    "block", [b"", b"II", b"II*\0\xff\xff\xff\xff", b"XX*\0", exif_block(0), exif_block(9), b"\0" * 40]
)
def test_exif_that_makes_no_sense_is_upright(block: bytes) -> None:
    assert exif.orientation(block) == 1


@pytest.mark.parametrize("pixels", [8, 32, 64])
def test_the_square_has_the_size_and_channels_that_are_asked_for(pixels: int) -> None:
    for content in WHOLE.values():
        for channels in (1, 3):
            picture = decoded(content, image_size=pixels, channels=channels)
            assert picture.pixels.shape == (channels, pixels, pixels)
            assert (picture.width, picture.height) == (40, 24)


def test_a_large_picture_is_converted_piece_by_piece_to_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    inks = Image.fromarray(photograph(61, 90)).convert("CMYK")
    content = saved(inks, "TIFF")
    at_once = decoded(content, image_size=32)
    monkeypatch.setattr("components.prepare.decoding.colours.PIXELS_AT_ONCE", 500)
    piecewise = decoded(content, image_size=32)
    assert np.array_equal(at_once.pixels, piecewise.pixels)
    assert piecewise.notes == (CMYK,)


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_scaled_decode_is_noted_and_near_the_exact_one(orientation: int, fit: str) -> None:
    stored = as_stored(photograph(301, 411), orientation)  # no multiple of any scale
    content = saved(stored, "JPEG", quality=90, exif=b"Exif\0\0" + exif_block(orientation))
    exact = decoded(content, image_size=32, fit=fit)
    scaled = decoded(content, image_size=32, fit=fit, scaled_decode=True)
    assert exact.notes == ((TURNED,) if orientation > 1 else ())
    assert scaled.notes == (SCALED_DECODE, *exact.notes)
    assert (scaled.width, scaled.height) == (411, 301)
    difference = np.abs(scaled.pixels.astype(int) - exact.pixels)
    assert 0 < difference.max() <= 8 and difference.mean() < 0.7


def test_a_scaled_decode_keeps_twice_the_target() -> None:
    for side, notes in ((63, ()), (64, (SCALED_DECODE,))):
        content = saved(photograph(side, side), "JPEG")
        assert decoded(content, image_size=16, scaled_decode=True).notes == notes


def test_pils_global_settings_neither_count_nor_change(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {kind: decoded(content, image_size=16).pixels for kind, content in WHOLE.items()}
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 900)  # would warn, and warnings are errors here
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)
    for kind, content in WHOLE.items():
        assert np.array_equal(decoded(content, image_size=16).pixels, expected[kind])
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == (900, False)


def test_threads_do_not_disturb_each_other() -> None:
    files = list(WHOLE.values())
    expected = [decoded(content, image_size=16).pixels for content in files]
    wrong: list[int] = []

    def work() -> None:
        for _ in range(5):
            for place, content in enumerate(files):
                if not np.array_equal(decoded(content, image_size=16).pixels, expected[place]):
                    wrong.append(place)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
