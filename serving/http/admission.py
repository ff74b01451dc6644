"""How many requests are in hand: decoded, computed or encoded. Waiting for a body is not in hand."""

from __future__ import annotations

from serving.errors import Overloaded


class Admission:
    """A number of places, one of which is held for the length of a ``with`` block.

    The block's beginning raises :class:`Overloaded` if there is none. Each request holds arrays and at most one job
    of a thread at a time, so that this bounds both, wherever the slowest part of the way is.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken = 0

    def take(self) -> None:
        """A place, until it is given back.

        Raises:
            Overloaded: if there is none.
        """
        if self._taken >= self._places:
            raise Overloaded(f"{self._places} requests are in hand already.", "Try again in a moment.")
        self._taken += 1

    def give_back(self) -> None:
        """A place."""
        self._taken -= 1

    def __enter__(self) -> None:
        self.take()

    def __exit__(self, *_: object) -> None:
        self.give_back()
