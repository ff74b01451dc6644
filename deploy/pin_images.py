"""Writes the digests of every image that the production overlay runs: ``make pin-images``.

    python -m deploy.pin_images --pipeline REGISTRY/ganvas-pipeline:TAG --serving REGISTRY/ganvas-serving:TAG

Our own images are named here, by tag or by digest; the others' tags stand in deploy/base. A tag is looked up at its
registry. Nothing is written unless all were found.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from components.artifacts import write_bytes_atomically
from deploy.image_names import ImageName, parse_image
from deploy.image_registry import look_up
from models.errors import ConfigurationError, GanvasError

DEPLOY = Path(__file__).resolve().parent
OWN = ("ganvas-pipeline", "ganvas-serving")
HEADER = """\
# Written by `make pin-images`: every image of the overlay by its digest. A tag that reads run-make-pin-images names
# what is still to be done; no registry has it.
"""


def images_of(documents: Sequence[Mapping[str, Any]]) -> set[str]:
    """Images of the containers in manifests, wherever in a manifest containers stand."""
    found: set[str] = set()
    pending: list[Any] = list(documents)
    while pending:
        match pending.pop():
            case dict() as node:
                for key in ("containers", "initContainers"):
                    if isinstance(containers := node.get(key), list):
                        found |= {container["image"] for container in containers if "image" in container}
                pending += node.values()
            case list() as nodes:
                pending += nodes
    return found


def pin(image: ImageName) -> str:
    """The digest of an image: its own, or what its tag means at its registry.

    Raises:
        ConfigurationError: if it has neither tag nor digest.
        GanvasError: as :func:`deploy.image_registry.look_up` raises.
    """
    if image.digest:
        return image.digest
    if not image.tag:
        raise ConfigurationError(f"{image.name} has neither tag nor digest.", "Name one: NAME:TAG or NAME@sha256:...")
    found = look_up(image)
    platforms = "1 platform" if found.platforms == 1 else f"{found.platforms} platforms"
    print(f"{image.name}:{image.tag} is {found.digest} ({platforms})", file=sys.stderr)
    return found.digest


def pinned(others: set[str], own: Mapping[str, str]) -> str:
    """The kustomize component that gives every image its digest.

    Args:
        others: images of other people, with tags.
        own: by its name in deploy/base, where an image of ours lies.

    Raises:
        GanvasError: if one of them has no digest to be had.
    """
    entries: list[dict[str, str]] = []
    for name in sorted(own):
        image = parse_image(own[name])
        entries.append({"name": name, "newName": image.name, "digest": pin(image)})
    for text in sorted(others):
        # kustomize finds an image by its name as it is written in the manifest.
        entries.append({"name": text.partition("@")[0].rpartition(":")[0], "digest": pin(parse_image(text))})
    component = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "images": entries}
    return f"{HEADER}{yaml.safe_dump(component, sort_keys=False)}"


def rendered(directory: Path) -> list[dict[str, Any]]:
    """What kustomize makes of a directory.

    Raises:
        GanvasError: if it refuses.
    """
    kubectl = Path(sysconfig.get_path("scripts")) / "kubectl"
    if not kubectl.exists():
        raise GanvasError(f"{kubectl} is not there.", "Run make setup: it is a package of the dev extra.")
    done = subprocess.run([kubectl, "kustomize", directory], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise GanvasError(f"kubectl kustomize {directory}: {done.stderr.strip()}", "Mend the manifest that it names.")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def main(arguments: Sequence[str] | None = None) -> int:
    """Pin.

    Returns:
        The exit code: 0 written, 1 a registry did not give a digest, 2 wrong use.
    """
    parser = argparse.ArgumentParser(
        prog="pin-images", description="Give every image of the production overlay a digest."
    )
    for name in OWN:
        option = name.removeprefix("ganvas-")
        parser.add_argument(
            f"--{option}", metavar="IMAGE", required=True, help=f"where {name} lies, by tag or by digest"
        )
    parser.add_argument("--base", type=Path, default=DEPLOY / "base", help="manifests with the other images' tags")
    parser.add_argument("--output", type=Path, default=DEPLOY / "overlays/production/pins/kustomization.yaml")
    given = parser.parse_args(arguments)
    try:
        others = images_of(rendered(given.base)) - set(OWN)
        text = pinned(others, {"ganvas-pipeline": given.pipeline, "ganvas-serving": given.serving})
        write_bytes_atomically(given.output, text.encode())
    except GanvasError as error:
        print(f"pin-images: {error}", file=sys.stderr)
        return error.exit_code
    print(f"wrote {given.output}", file=sys.stderr)
    step = next(image for image in yaml.safe_load(text)["images"] if image["name"] == "ganvas-pipeline")
    print(f"Runs take the same: ganvas submit --image {step['newName']}@{step['digest']}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
