"""What the demonstrations' tests share."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from pipelines.labs.result import Finding

Measured = Callable[[Finding], dict[str, float]]


@pytest.fixture
def measured() -> Measured:
    """The measured numbers of a finding by name, once it is known to be well formed."""

    def of(finding: Finding) -> dict[str, float]:
        names = [quantity.name for quantity in finding.quantities]
        assert len(set(names)) == len(names)
        assert finding.picture.startswith(b"\x89PNG") and len(finding.picture) < 60_000
        width, height = struct.unpack(">II", finding.picture[16:24])
        assert width >= 600 and height >= 250
        return {quantity.name: quantity.measured for quantity in finding.quantities}

    return of
