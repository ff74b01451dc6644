"""Whatever the bytes are: a picture or a known reason, never an error, a warning or a word on standard error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.prepare.decoding import picture as words
from components.prepare.decoding.decode import decode
from components.prepare.decoding.picture import Picture
from components.prepare.settings import DataSettings
from tests.components.prepare.decoding.cases import GOOD, WHOLE
from tests.components.prepare.decoding.damage import KINDS, Edit, damaged

FILES = {name: case.content for name, case in GOOD.items() if len(case.content) < 20_000}
SMALL = DataSettings(image_size=16, channels=3, maximum_pixels=1_000_000)
REASONS = {
    words.ZERO_BYTES,
    words.NOT_A_PICTURE,
    words.TRUNCATED,
    words.BOMB,
    words.smaller_than(SMALL.minimum_side),
    words.unknown_range("I"),
    words.unknown_range("F"),
    *map(words.unreadable, words.FORMATS),
}
QUICK = settings(
    max_examples=150, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
EDITS = st.lists(
    st.builds(
        Edit,
        st.sampled_from(KINDS),
        st.floats(0, 1).map(lambda share: share**3),  # headers are where it matters
        st.floats(0, 1),
        st.integers(0, 2**16),
    ),
    min_size=1,
    max_size=5,
)


def check(content: bytes) -> None:
    result = decode(content, SMALL)
    if isinstance(result, Picture):
        assert result.pixels.shape == (3, 16, 16) and result.pixels.dtype == np.uint8
        assert result.format in words.FORMATS
        assert result.width * result.height <= SMALL.maximum_pixels
    else:
        assert result in REASONS


@QUICK
@given(st.binary(max_size=200))
@example(b"P6 9 9 0 ")
@example(b"BM" + b"\0" * 12 + b"\x28\0\0\0")
def test_any_bytes(content: bytes) -> None:
    check(content)


@pytest.mark.parametrize("kind", words.FORMATS)
@settings(QUICK, max_examples=20)
@given(st.integers(0, 40), st.binary(max_size=300))
def test_any_bytes_behind_a_true_beginning(kind: str, kept: int, content: bytes) -> None:
    check(WHOLE[kind][:kept] + content)


@QUICK
@given(st.sampled_from(sorted(FILES)), EDITS)
def test_a_damaged_file(name: str, edits: list[Edit]) -> None:
    check(damaged(FILES[name], edits))
    check(damaged(FILES[name], [*edits, Edit("sums", 0.0, 0.0, 0)]))


def test_a_file_cut_anywhere_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    for content in WHOLE.values():
        for share in np.linspace(0.0, 0.999, 40):
            check(content[: int(share * len(content))])
    assert capfd.readouterr() == ("", "")
