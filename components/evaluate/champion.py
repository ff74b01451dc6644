"""The version that serves now, fetched from the registry."""

from __future__ import annotations

from pathlib import Path

from components.evaluate.core import Champion
from components.promote.rule import CHAMPION
from components.tracking import Tracking, is_absent, tracking_uri


def find_champion(model_name: str, into: Path, tracking: Tracking | None = None) -> Champion | None:
    """The champion of a registered model with its bundle downloaded, or None where there is none.

    Raises:
        TrackingError: if the registry does not answer.
    """
    if tracking is None and is_absent(tracking_uri()):
        return None
    store = tracking or Tracking()
    version = store.alias_version(model_name, CHAMPION)
    if version is None:
        return None
    found = store.download(model_name, version, into)
    return Champion(
        version=found.version,
        bundle=found.bundle,
        dataset_name=found.tags.get("ganvas.dataset_name", ""),
        extractor_sha256=found.tags.get("ganvas.extractor_sha256", ""),
    )
