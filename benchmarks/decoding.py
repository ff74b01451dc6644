"""From a folder of pictures to squares of 64 pixels: `make bench NAME=decoding`.

The peer is torchvision's `ImageFolder` with `Resize` (bicubic, antialiased), `CenterCrop` and `ToTensor` in one
process, as its documentation shows it. Ours reads the same files in two processes, each file decoded by `decode` and
its square hashed. Both read from the same warm page cache; both processes are started before the clock is.

Every comparison is of paired runs in alternating order; medians of their ratios. torchvision is no dependency:
`pip install --no-deps torchvision` beside the installed torch, where this is to be run.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.record import table, write
from components.prepare.decoding.decode import decode
from components.prepare.decoding.picture import Picture
from components.prepare.settings import DataSettings

PIXELS = 64
EXACT = DataSettings(image_size=PIXELS, channels=3)
SCALED = EXACT.model_copy(update={"scaled_decode": True})
FILES_AT_ONCE = 50
PNG_SHARE = 0.15
SHORTEST, LONGEST = 100, 800


def _encoded(random: np.random.Generator, texture: np.ndarray, png_share: float) -> tuple[bytes, str]:
    """A photo-like picture: smooth colours, edges and fine texture; sides log-uniform."""
    width, height = (round(side) for side in np.exp(random.uniform(np.log(SHORTEST), np.log(LONGEST), 2)))
    coarse = Image.fromarray(random.integers(0, 256, (5, 6, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    top, left = random.integers(0, texture.shape[0] - height), random.integers(0, texture.shape[1] - width)
    grain = texture[top : top + height, left : left + width, None]
    pixels = np.clip(np.asarray(coarse).astype(np.int16) + grain, 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    if random.random() < png_share:
        Image.fromarray(pixels).save(stream, "PNG", compress_level=3)
        return stream.getvalue(), "png"
    Image.fromarray(pixels).save(stream, "JPEG", quality=int(random.integers(75, 96)))
    return stream.getvalue(), "jpg"


def make(folder: Path, pictures: int, png_share: float = PNG_SHARE) -> None:
    """Write the pictures, in two classes."""
    random = np.random.Generator(np.random.PCG64(0))
    side = LONGEST + 200
    octaves = [
        np.asarray(
            Image.fromarray(random.normal(0, size, (side // step, side // step)).astype(np.float32)).resize(
                (side, side), Image.Resampling.BICUBIC
            )
        )
        for step, size in ((1, 5.0), (4, 8.0), (16, 12.0))
    ]
    texture = np.sum(octaves, axis=0).astype(np.int16)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(pictures):
        content, suffix = _encoded(random, texture, png_share)
        (folder / "ab"[number % 2] / f"{number:06d}.{suffix}").write_bytes(content)


def decode_all(paths: Sequence[Path], settings: DataSettings) -> int:
    """Read, decode, hash; how many there were."""
    for path in paths:
        picture = decode(path.read_bytes(), settings)
        if not isinstance(picture, Picture):
            raise RuntimeError(f"{path}: {picture}")
        hashlib.sha256(picture.pixels.data).digest()
    return len(paths)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def differences(paths: Sequence[Path], others: Callable[[Path], np.ndarray]) -> tuple[float, int]:
    """Mean and largest difference in steps of 255 to the exact squares."""
    sums, count, largest = 0, 0, 0
    for path in paths:
        exact = decode(path.read_bytes(), EXACT)
        assert isinstance(exact, Picture)
        difference = np.abs(exact.pixels.astype(np.int64) - others(path))
        sums, count, largest = (
            sums + int(difference.sum()),
            count + difference.size,
            max(largest, int(difference.max())),
        )
    return sums / count, largest


def scaled_square(path: Path) -> np.ndarray:
    picture = decode(path.read_bytes(), SCALED)
    assert isinstance(picture, Picture)
    return picture.pixels


def compare(folder: Path, pairs: int) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """Rows of speeds and rows of differences."""
    try:
        from torchvision import datasets, transforms  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise SystemExit("torchvision is not installed: pip install --no-deps torchvision") from error

    transform = transforms.Compose(
        [
            transforms.Resize(PIXELS, interpolation=transforms.InterpolationMode.BICUBIC, antialias=True),
            transforms.CenterCrop(PIXELS),
            transforms.ToTensor(),
        ]
    )
    peer = datasets.ImageFolder(str(folder), transform)
    paths = [Path(path) for path, _ in peer.samples]
    shares = [paths[start : start + FILES_AT_ONCE] for start in range(0, len(paths), FILES_AT_ONCE)]

    def peers() -> float:
        return seconds(lambda: [peer[index] for index in range(len(peer))])

    speeds: list[tuple[str, ...]] = []
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for settings in (EXACT, SCALED):  # imports, and the weights of the common sizes
            list(pool.map(decode_all, shares[:4], [settings] * 4))

        def ours(settings: DataSettings) -> float:
            return seconds(lambda: list(pool.map(decode_all, shares, [settings] * len(shares))))

        cases: list[tuple[str, Callable[[], float], str]] = [
            ("exact, two processes", lambda: ours(EXACT), "at least 2"),
            ("scaled decode, two processes", lambda: ours(SCALED), "at least 3"),
            ("exact, one process", lambda: seconds(lambda: decode_all(paths, EXACT)), ""),
            ("scaled decode, one process", lambda: seconds(lambda: decode_all(paths, SCALED)), ""),
        ]
        for name, run, aim in cases:
            theirs, own = [], []
            for pair in range(pairs):
                if pair % 2:
                    theirs.append(peers())
                    own.append(run())
                else:
                    own.append(run())
                    theirs.append(peers())
            ratios = [other / one for other, one in zip(theirs, own, strict=True)]
            speeds.append(
                (
                    name,
                    f"{statistics.median(ratios):.2f}",
                    f"{min(ratios):.2f} to {max(ratios):.2f}",
                    f"{len(paths) / statistics.median(own):.0f}",
                    f"{len(paths) / statistics.median(theirs):.0f}",
                    aim,
                )
            )
            print(speeds[-1], flush=True)
    position = {Path(path): index for index, (path, _) in enumerate(peer.samples)}
    some = paths[:: max(len(paths) // 500, 1)]
    errors: list[tuple[str, ...]] = []
    for name, square in (
        ("scaled decode", scaled_square),
        ("torchvision", lambda path: (peer[position[path]][0].numpy() * 255).round().astype(np.int64)),
    ):
        mean, largest = differences(some, square)
        errors.append((name, f"{mean:.3f}", str(largest)))
        print(errors[-1], flush=True)
    return speeds, errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--png-share", type=float, default=PNG_SHARE, help="0 for JPEG alone, recorded apart")
    parser.add_argument("--folder", type=Path, help="where the pictures are made, or lie from an earlier run")
    options = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for the processes: as many of them as cores
    with tempfile.TemporaryDirectory() as directory:
        folder = options.folder or Path(directory)
        if not any(folder.glob("a/*")):
            make(folder, options.pictures, options.png_share)
        sizes = [path.stat().st_size for path in folder.glob("*/*")]
        speeds, errors = compare(folder, options.pairs)
    body = "\n\n".join(
        (
            f"{len(sizes)} pictures ({options.png_share:.0%} PNG, else JPEG of quality 75 to 95; sides of "
            f"{SHORTEST} to {LONGEST} pixels, {sum(sizes) / 2**20:.0f} MiB) to {PIXELS} pixels, {options.pairs} pairs "
            "each. The peer is torchvision's ImageFolder in one process.",
            table(("ours", "times as fast", "range", "pictures a second", "peer's", "aim"), speeds),
            "Difference to the exact squares, in steps of 255. torchvision crops after resizing and rounds twice.",
            table(("", "mean", "largest"), errors),
        )
    )
    name = "decoding" if options.png_share else "decoding-jpeg"
    command = "make bench NAME=decoding" if options.png_share else "python -m benchmarks.decoding --png-share 0"
    if options.png_share:
        body += "\n\nJPEG files alone, which scaled decode is for: [decoding-jpeg.md](decoding-jpeg.md)."
    write(name, "Decoding", command, body)


if __name__ == "__main__":
    main()
