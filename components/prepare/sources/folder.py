"""A folder of pictures: one subfolder a class, or flat and without labels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from components.prepare.manifest import MixtureParameters
from components.prepare.settings import DataSettings
from components.prepare.sources.resize import resize_square
from components.prepare.sources.source import Item, Rejection, Rows
from models.errors import ConfigurationError, SourceError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff"}


class FolderSource:
    """Pictures of any size under a directory, centre-cropped and resized to one square."""

    kind: Literal["image", "vector"] = "image"
    mixture: MixtureParameters | None = None

    def __init__(self, directory: Path, settings: DataSettings) -> None:
        if not directory.is_dir():
            raise SourceError(f"{directory} is not a directory.", "Give data.source as folder:/path/to/pictures.")
        if settings.image_size is None:
            raise ConfigurationError(
                "Pictures of a folder are brought to one size, and none is set.", "Set for instance data.image_size=32."
            )
        self._root = directory.resolve()
        self._pixels = settings.image_size
        self._mode = "L" if settings.channels == 1 else "RGB"
        self.name = directory.name or "folder"
        self.class_names = sorted(
            {path.relative_to(self._root).parts[0] for path in self._paths() if path.parent != self._root}
        )
        self.resized = f"centre crop, antialiased bicubic to {self._pixels} pixels, mode {self._mode}"

    def _paths(self) -> Iterator[Path]:
        for path in self._root.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.suffix.lower() in SUFFIXES:
                yield path

    def listing(self) -> Iterator[Item]:
        found = False
        for path in self._paths():
            found = True
            status = path.stat()
            yield Item(path.relative_to(self._root).as_posix(), status.st_size, str(status.st_mtime_ns))
        if not found:
            raise SourceError(
                f"{self._root} holds no pictures ({', '.join(sorted(SUFFIXES))}).", "Name the folder that does."
            )

    def read(self) -> Iterator[Rows | Rejection]:
        index = {name: position for position, name in enumerate(self.class_names)}
        for path in self._paths():
            name = path.relative_to(self._root).as_posix()
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if self.class_names and path.parent == self._root:
                yield Rejection(name, "beside class folders, in none of them", digest)
                continue
            decoded = self._decode(path)
            if isinstance(decoded, str):
                yield Rejection(name, decoded, digest)
                continue
            label = index[Path(name).parts[0]] if self.class_names else -1
            yield Rows(decoded[None], np.array([label], dtype=np.int64))

    def _decode(self, path: Path) -> npt.NDArray[np.uint8] | str:
        """The picture as uint8 [C, H, W], or the reason why there is none."""
        if path.stat().st_size == 0:
            return "empty file"
        try:
            with Image.open(path) as opened:
                upright = ImageOps.exif_transpose(opened)
                has_alpha = upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info
                if has_alpha:  # composited over white, as a viewer would show it
                    layer = upright.convert("RGBA")
                    upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
                if upright.mode in ("I", "F"):
                    return f"values of unknown range (mode {upright.mode})"
                if upright.mode.startswith("I;16"):  # scaled by hand: convert() would clip
                    upright = Image.fromarray(np.rint(np.asarray(upright) / 257.0).astype(np.uint8))
                pixels = np.asarray(upright.convert(self._mode))
        except UnidentifiedImageError:
            return "not a picture"
        except Image.DecompressionBombError:
            return "decompression bomb"
        except (OSError, SyntaxError, ValueError) as error:
            return f"unreadable: {type(error).__name__}"
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return resize_square(planes, self._pixels)
