"""How many requests are in hand: decoded, computed or encoded. Waiting for a body is not in hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from serving.errors import Overloaded


class Admission:
    """A number of places.

    Each request holds arrays and at most one job of a thread at a time, so that this bounds both, wherever
    the slowest part of the way is.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for the length of the block.

        Raises:
            Overloaded: if there is none.
        """
        if self._taken >= self._places:
            raise Overloaded(f"{self._places} requests are in hand already.", "Try again in a moment.")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1
