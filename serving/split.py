"""Which requests a canary answers: exactly its share of them, by counting, or by what a request says of itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction

_RANGE = 1 << 64


@dataclass
class Choice:
    """For which of two versions a request is: made when it is first looked up, kept while it is worked on.

    Attributes:
        sticky: requests with the same text, if it is not empty, have the same answer while the share stays.
        canary: None until it is made.
    """

    sticky: str = ""
    canary: bool | None = None


class Split:
    """Divides requests between a model and its canary.

    Without a text of their own, requests are counted: a share of p/q, in lowest terms, gives the canary exactly p of
    any q that follow one another, spread evenly (a sum of p modulo q overflows; Bresenham's line). So .05
    gives 5 of every 100. With a text the first 64 bits of its SHA-256, as a fraction of 2^64, are compared with the
    share: a larger share keeps all whom a smaller one chose.

    Args:
        share: 0 .. 1, as it is written in decimals: .29 is 29/100, not the float next to it.
    """

    def __init__(self, share: float) -> None:
        self._share = Fraction(repr(share))
        self._sum = 0

    def takes(self, sticky: str = "") -> bool:
        """Whether the canary answers the next request, or the one with this text."""
        if sticky:
            hashed = int.from_bytes(hashlib.sha256(sticky.encode()).digest()[:8], "big")
            return hashed < self._share * _RANGE
        self._sum += self._share.numerator
        overflows = self._sum >= self._share.denominator
        self._sum -= self._share.denominator if overflows else 0
        return overflows
