"""Pictures that clients send become what the data was: the same as what prepares it, and never a failure."""

from __future__ import annotations

import io
import struct
import zlib
from contextlib import suppress
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.prepare.decoding.decode import decode
from components.prepare.decoding.resize import resize_square
from components.prepare.settings import DataSettings
from serving.errors import MalformedRequest, PictureTooLarge, UnsupportedPicture
from serving.http.upload import uploaded_file
from serving.pictures.reading import read_picture
from serving.pictures.resize import resized_square

LIMIT = 1 << 20


def file_of(pixels: np.ndarray, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def scene(height: int, width: int, bands: int, seed: int = 0) -> np.ndarray:
    """Edges, slopes and noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    base = (x * 3 + y * 5 + 120 * ((x // 7 + y // 5) % 2)) % 256
    pixels = (base[..., None] + random.integers(0, 60, (height, width, bands))).clip(0, 255).astype(np.uint8)
    return pixels[..., 0] if bands == 1 else pixels


def palette() -> bytes:
    picture = Image.fromarray(scene(40, 50, 3)).quantize(17)
    stream = io.BytesIO()
    picture.save(stream, "PNG", transparency=3)
    return stream.getvalue()


def keyed() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(scene(30, 30, 1)).save(stream, "PNG", transparency=120)
    return stream.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return file_of(scene(30, 47, 3), "JPEG", exif=exif, quality=95)


FILES = {
    "grey PNG": file_of(scene(53, 40, 1), "PNG"),
    "RGB PNG": file_of(scene(300, 411, 3), "PNG"),
    "RGBA PNG": file_of(scene(64, 64, 4), "PNG"),
    "grey and alpha PNG": file_of(scene(64, 64, 2), "PNG"),
    "palette PNG": palette(),
    "keyed PNG": keyed(),
    "black and white PNG": file_of(scene(40, 40, 1) > 128, "PNG"),
    "smaller PNG": file_of(scene(9, 12, 3), "PNG"),
    "exact PNG": file_of(scene(32, 32, 3), "PNG"),
    "RGB JPEG": file_of(scene(200, 161, 3), "JPEG", quality=85),
    "grey JPEG": file_of(scene(200, 161, 1), "JPEG"),
    "progressive JPEG": file_of(scene(99, 161, 3), "JPEG", progressive=True),
    "lossy WebP": file_of(scene(77, 90, 3), "WEBP"),
    "WebP with alpha": file_of(scene(77, 90, 4), "WEBP", lossless=True),
    **{f"turned {value}": turned(value) for value in range(1, 9)},
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (3, 64)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_picture_becomes_what_preparation_makes_of_it(
    name: str, channels: int, side: int, fit: Literal["crop", "pad"]
) -> None:
    prepared = decode(FILES[name], DataSettings(image_size=side, channels=channels, fit=fit))
    assert not isinstance(prepared, str), prepared
    found = read_picture(FILES[name], (channels, side, side), LIMIT, fit)
    assert found.dtype == np.uint8 and found.shape == (side, side, channels)
    np.testing.assert_array_equal(found, prepared.pixels.transpose(1, 2, 0))


@given(
    height=st.integers(8, 400),
    width=st.integers(8, 400),
    side=st.integers(8, 40),
    fit=st.sampled_from(["crop", "pad"]),
    seed=st.integers(0, 9),
)
@settings(max_examples=150)
def test_any_shape_becomes_what_preparation_makes_of_it(
    height: int, width: int, side: int, fit: Literal["crop", "pad"], seed: int
) -> None:
    picture = scene(height, width, 3, seed)
    expected = resize_square(picture.transpose(2, 0, 1), side, fit).transpose(1, 2, 0)
    np.testing.assert_array_equal(resized_square(picture, side, fit), expected)


def test_a_long_strip_takes_no_memory_of_its_square() -> None:
    for picture in (scene(2, 200_000, 1)[..., None], scene(200_000, 2, 1)[..., None]):
        found = resized_square(picture, 16, "pad")
        np.testing.assert_array_equal(found[..., 0], resize_square(picture.transpose(2, 0, 1), 16, "pad")[0])


def test_deep_and_cmyk_pictures_differ_by_one_at_most() -> None:
    deep = np.arange(40 * 40, dtype=np.uint16).reshape(40, 40) * 40
    stream = io.BytesIO()
    Image.fromarray(scene(50, 60, 4), "CMYK").save(stream, "JPEG")
    for content in (file_of(deep, "PNG"), stream.getvalue()):
        prepared = decode(content, DataSettings(image_size=32, channels=3))
        assert not isinstance(prepared, str)
        found = read_picture(content, (3, 32, 32), LIMIT)
        assert np.abs(found.astype(int) - prepared.pixels.transpose(1, 2, 0)).max() <= 1


def test_a_model_that_is_not_square_takes_its_own_size_alone() -> None:
    pixels = scene(20, 30, 3)
    np.testing.assert_array_equal(read_picture(file_of(pixels, "PNG"), (3, 20, 30), LIMIT), pixels)
    with pytest.raises(MalformedRequest, match="30 x 20"):
        read_picture(file_of(scene(30, 30, 3), "PNG"), (3, 20, 30), LIMIT)
    with pytest.raises(MalformedRequest, match="4 channels"):
        read_picture(file_of(pixels, "PNG"), (4, 20, 20), LIMIT)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def bomb(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1 << 16)))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(1025, 1024), (9_500, 10_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(size: tuple[int, int]) -> None:
    with pytest.raises(PictureTooLarge):
        read_picture(bomb(*size), (3, 8, 8), LIMIT)


def test_many_scans_are_refused() -> None:
    content = FILES["progressive JPEG"]
    scans = content.index(b"\xff\xda")
    with pytest.raises(PictureTooLarge, match="scans"):
        read_picture(content[:scans] + b"\xff\xda\x00\x02" * 200 + content[scans:], (3, 8, 8), LIMIT)


@pytest.mark.parametrize("content", [b"GIF89a" + bytes(50), b"BM" + bytes(60), b"II*\0" + bytes(9), b"<svg/>", b"\0"])
def test_other_formats_are_refused(content: bytes) -> None:
    with pytest.raises(UnsupportedPicture):
        read_picture(content, (3, 8, 8), LIMIT)


@pytest.mark.parametrize("name", ["RGB PNG", "progressive JPEG", "lossy WebP", "WebP with alpha"])
def test_half_a_picture_is_none(name: str) -> None:
    content = FILES[name]
    for length in (16, 40, len(content) // 2, len(content) - 40):
        with pytest.raises(MalformedRequest):
            read_picture(content[:length], (3, 8, 8), LIMIT)


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(
    name=st.sampled_from(["RGBA PNG", "palette PNG", "progressive JPEG", "lossy WebP", "turned 6"]),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_a_damaged_file_is_a_picture_or_a_clear_error(name: str, changes: list[tuple[float, int]]) -> None:
    content = bytearray(FILES[name])
    for place, value in changes:
        content[int(place * len(content))] = value
    with suppress(MalformedRequest, PictureTooLarge, UnsupportedPicture):
        assert read_picture(content, (3, 16, 16), LIMIT).shape == (16, 16, 3)


def form(*parts: tuple[str, bytes], boundary: str = "xyz") -> bytes:
    pieces = [f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + body for head, body in parts]
    return b"\r\n".join([*pieces, f"--{boundary}--\r\n".encode()])


FORM = "multipart/form-data; boundary=xyz"
FILE = 'name="file"; filename="a.png"'


def test_a_form_gives_its_file_byte_for_byte() -> None:
    content = b"--xy\r\n\r\n--x\0\r\n" + bytes(range(256))
    assert uploaded_file(form(('name="a"', b"1"), (FILE, content)), FORM) == content
    assert uploaded_file(b"preamble\r\n" + form((FILE, content)) + b"epilogue", FORM) == content
    assert uploaded_file(form((FILE, b"")), 'multipart/form-data; boundary="xyz"') == b""
    assert uploaded_file(b"raw", "image/png") == b"raw"
    assert uploaded_file(b"raw", "") == b"raw"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", ""),
        (b"", FORM),
        (form((FILE, b"a"), (FILE, b"b")), FORM),
        (form(('name="a"', b"1")), FORM),
        (form((FILE, b"a")), "multipart/form-data"),
        (form((FILE, b"a")), "multipart/form-data; boundary="),
        (form((FILE, b"a")), "multipart/form-data; boundary=" + "x" * 71),
        (form((FILE, b"a")), "multipart/form-data; boundary=other"),
        (form((FILE, b"a"))[:-6], FORM),
        (form(*[('name="a"', b"1")] * 40, (FILE, b"a")), FORM),
        (b"--xyz\r\nno colon\r\n\r\nbody\r\n--xyz--\r\n", FORM),
        (b"--xyz\r\nno end of head--xyz--", FORM),
        (b"--xyz\r\nA: " + b"b" * 9000 + b"\r\n\r\nbody\r\n--xyz--\r\n", FORM),
    ],
)
def test_a_broken_form_is_refused(body: bytes, kind: str) -> None:
    with pytest.raises(MalformedRequest):
        uploaded_file(body, kind)


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(
    pieces=st.lists(
        st.sampled_from([b"--xyz", b"--", b"\r\n", b"\r\n\r\n", b"a: b", FILE.encode(), b":"]), max_size=14
    ),
    kind=st.sampled_from([FORM, "multipart/form-data; boundary*=utf-8''xyz"]) | st.text(max_size=40),
)
def test_any_form_is_read_or_refused(pieces: list[bytes], kind: str) -> None:
    with suppress(MalformedRequest):
        assert isinstance(uploaded_file(b"".join(pieces), kind), bytes)
