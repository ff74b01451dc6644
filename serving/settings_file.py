"""Settings from a file: TOML or JSON, a table of names and values."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from serving.errors import UsageError

_MAX_BYTES = 1 << 20


def read_settings_file(path: Path, known: Collection[str]) -> dict[str, Any]:
    """What a file says, its values unchecked.

    Args:
        path: ends in ``.toml`` or ``.json``.
        known: the names that there are.

    Raises:
        UsageError: if it cannot be read, is no table, or holds a name that is not known.
    """
    parse = {".toml": tomllib.loads, ".json": json.loads}.get(path.suffix.lower())
    if parse is None:
        raise UsageError(f"{path} is neither .toml nor .json.", "Name a settings file of one of these kinds.")
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror}.", "Check --settings, or GANVAS_SERVE_SETTINGS."
        ) from error
    if len(content) > _MAX_BYTES:
        raise UsageError(f"{path} has more than {_MAX_BYTES} bytes.", "Check --settings.")
    try:
        values = parse(content.decode())
    except ValueError as error:  # of either format, or of UTF-8
        raise UsageError(f"{path} is not valid {path.suffix[1:].upper()}: {error}.") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path} must hold names and their values.", "See python -m serving --help.")
    for name in values:
        if name not in known:
            raise UsageError(f"{path}: there is no setting {name!r}.", _nearest(name, known))
    return values


def _nearest(name: str, known: Collection[str]) -> str:
    found = difflib.get_close_matches(name.lower().replace("-", "_"), known, n=1)
    return f"Did you mean {found[0]!r}?" if found else "See python -m serving --help."
