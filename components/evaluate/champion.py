"""The version that serves now: fetched from the registry, and whether it can be compared with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.export.bundle import read_bundle
from components.export.signature import Signature
from components.prepare.manifest import Manifest
from components.tracking import CHAMPION, DATASET_NAME_TAG, EXTRACTOR_TAG, Tracking, is_absent, tracking_uri
from models.errors import ArtifactError


@dataclass(frozen=True)
class Champion:
    """The version that serves now, to be compared with."""

    version: str
    bundle: Path
    dataset_name: str
    extractor_sha256: str
    defect: str = ""
    """Why there is no bundle, where there is none: a person may give the alias to any version."""


def find_champion(model_name: str, into: Path, tracking: Tracking | None = None) -> Champion | None:
    """The champion of a registered model with its bundle downloaded, or None where there is none.

    A champion without a bundle is told of by its ``defect``; it is no reason not to judge another model.

    Raises:
        TrackingError: if the registry does not answer.
    """
    if tracking is None and is_absent(tracking_uri()):
        return None
    store = tracking or Tracking()
    version = store.alias_version(model_name, CHAMPION)
    if version is None:
        return None
    tags, bundle, defect = store.version_tags(model_name, version), into, ""
    try:
        bundle = store.download(model_name, version, into)
    except ArtifactError as error:
        defect = error.message
    return Champion(
        version=version,
        bundle=bundle,
        dataset_name=tags.get(DATASET_NAME_TAG, ""),
        extractor_sha256=tags.get(EXTRACTOR_TAG, ""),
        defect=defect,
    )


def comparable(champion: Champion, manifest: Manifest, extractor_sha256: str) -> tuple[Signature | None, str]:
    """The champion's signature where its graphs can be scored beside a model's, else None and why not.

    Args:
        champion: what serves now.
        manifest: of the Dataset that the model is judged on.
        extractor_sha256: of the Extractor that it is judged by.
    """
    who = f"version {champion.version}"
    if champion.dataset_name != manifest.name:
        return None, f"{who} was judged on other data ({champion.dataset_name or 'unknown'})"
    if champion.extractor_sha256 != extractor_sha256:
        return None, f"{who} was judged by another extractor"
    if champion.defect:
        return None, f"{who} cannot be scored: {champion.defect}"
    try:
        signature = read_bundle(champion.bundle)
    except ArtifactError as error:
        return None, f"{who} cannot be scored: {error.message.replace(str(champion.bundle), 'its bundle')}"
    if signature.sample.shape != manifest.sample_shape:
        return None, f"{who} makes samples of shape {signature.sample.shape}, not {manifest.sample_shape}"
    return signature, ""
