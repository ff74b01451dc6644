"""Keeping libtiff quiet: it prints its complaints to standard error from C, where no filter of Python's reaches."""

from __future__ import annotations

import ctypes
from functools import cache

from PIL import _imaging


@cache
def silence() -> bool:
    """Take libtiff's printing away, once a process; whether that was possible.

    A symbol of PIL's own extension is looked up in the libraries that it was loaded with, so it is the same libtiff
    that PIL decodes with. What it complains of still comes back as an error of the decoder.
    """
    try:
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)
    except (OSError, AttributeError, TypeError):  # a PIL without libtiff, or with it linked out of sight
        return False
    return True
