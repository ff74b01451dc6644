"""The classes of files that are met, and what each must become."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from components.prepare.decoding import picture as words
from tests.components.prepare.decoding.files import (
    HEIGHT,
    WIDTH,
    as_stored,
    chunk,
    exif,
    grey_scene,
    jpeg_of_size,
    png,
    saved,
    scene,
    tiff,
    ycck,
)

LOSSLESS, NEAR, LOSSY = 0, 9, 12  # steps of 255 that a pixel may be off at most


@dataclass(frozen=True, eq=False)
class Good:
    """A file that shows ``shown`` (uint8 [H, W, 3]), to within ``steps`` a pixel."""

    content: bytes
    shown: np.ndarray
    format: str
    steps: int = LOSSLESS
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Bad:
    """A file that is rejected, for one of these reasons."""

    content: bytes
    reasons: tuple[str, ...]


def three(grey: np.ndarray) -> np.ndarray:
    """Grey [H, W] as colour."""
    return np.repeat(grey[:, :, None], 3, axis=2)


def _alpha() -> np.ndarray:
    """Opacity from 0 to 255 over the columns: uint8 [H, W, 1]."""
    return np.broadcast_to(np.linspace(0, 255, WIDTH).astype(np.uint8)[None, :, None], (HEIGHT, WIDTH, 1))


def _over_white(samples: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    share = alpha.astype(np.float64) / 255
    return np.rint(samples * share + 255 * (1 - share)).astype(np.uint8)


def _pngs() -> dict[str, Good]:
    colour, grey, alpha = scene(), grey_scene(), _alpha()
    deep_grey = (np.arange(HEIGHT * WIDTH, dtype=np.uint32) * 65_535 // (HEIGHT * WIDTH - 1)).reshape(HEIGHT, WIDTH)
    deep = (colour.astype(np.uint32) * 257 + np.indices(colour.shape).sum(axis=0) * 3 - 100).clip(0, 65_535)
    scaled, scaled_grey = (np.rint(values / 257.0).astype(np.uint8) for values in (deep, deep_grey))
    palette = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (256, 3), dtype=np.uint8)
    cases: dict[str, Good] = {}
    for name, interlaced in (("", False), (" interlaced", True)):
        for bits in (1, 2, 4):
            values = grey >> (8 - bits)
            shown = values.astype(np.uint16) * 255 // ((1 << bits) - 1)
            cases[f"png grey {bits} bit{name}"] = Good(
                png(values[:, :, None], bits, 0, interlaced), three(shown.astype(np.uint8)), "PNG"
            )
        for bits in (1, 2, 4, 8):
            indices = grey >> (8 - bits)
            table = palette[: 1 << bits]
            cases[f"png palette {bits} bit{name}"] = Good(
                png(indices[:, :, None], bits, 3, interlaced, [chunk(b"PLTE", table.tobytes())]),
                table[indices],
                "PNG",
                notes=(words.PALETTE,),
            )
        cases[f"png grey 8 bit{name}"] = Good(png(grey[:, :, None], 8, 0, interlaced), three(grey), "PNG")
        cases[f"png colour 8 bit{name}"] = Good(png(colour, 8, 2, interlaced), colour, "PNG")
        cases[f"png grey and alpha 8 bit{name}"] = Good(
            png(np.concatenate([grey[:, :, None], alpha], 2), 8, 4, interlaced),
            _over_white(three(grey), alpha),
            "PNG",
            notes=(words.ALPHA,),
        )
        cases[f"png colour and alpha 8 bit{name}"] = Good(
            png(np.concatenate([colour, alpha], 2), 8, 6, interlaced),
            _over_white(colour, alpha),
            "PNG",
            notes=(words.ALPHA,),
        )
        opaque = np.full((HEIGHT, WIDTH, 1), 65_535)
        for kind, bands, shown in ((0, deep_grey[:, :, None], three(scaled_grey)), (2, deep, scaled)):
            cases[f"png 16 bit type {kind}{name}"] = Good(
                png(bands, 16, kind, interlaced), shown, "PNG", notes=(words.DEEP,)
            )
            cases[f"png 16 bit type {kind + 4} opaque{name}"] = Good(
                png(np.concatenate([bands, opaque], 2), 16, kind + 4, interlaced), shown, "PNG", notes=(words.DEEP,)
            )
    half = np.full((HEIGHT, WIDTH, 1), 32_768)
    cases["png 16 bit half transparent"] = Good(
        png(np.concatenate([deep, half], 2), 16, 6),
        np.rint((deep * (32_768 / 65_535) + 65_535 - 32_768) / 257).astype(np.uint8),
        "PNG",
        notes=(words.DEEP, words.ALPHA),
    )
    opacities = np.arange(256, dtype=np.uint8)[::-1]
    plte = chunk(b"PLTE", palette.tobytes())
    cases["png palette with transparency"] = Good(
        png(grey[:, :, None], 8, 3, before=[plte, chunk(b"tRNS", opacities.tobytes())]),
        _over_white(palette[grey], opacities[grey][:, :, None]),
        "PNG",
        notes=(words.PALETTE, words.ALPHA),
    )
    key = grey[3, 5]
    cases["png transparent grey"] = Good(
        png(grey[:, :, None], 8, 0, before=[chunk(b"tRNS", struct.pack(">H", key))]),
        three(np.where(grey == key, 255, grey).astype(np.uint8)),
        "PNG",
        notes=(words.ALPHA,),
    )
    cases["png text bomb is passed over"] = Good(
        png(colour, 8, 2, before=[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**7)))]), colour, "PNG"
    )
    cases["png profile is passed over"] = Good(
        png(colour, 8, 2, before=[chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**6)))]),
        colour,
        "PNG",
        notes=(words.PROFILE_IGNORED,),
    )
    cases["png broken text is passed over"] = Good(
        png(colour, 8, 2, before=[chunk(b"tEXt", b"a")[:-1] + b"!"]), colour, "PNG"
    )
    cases["png without its end"] = Good(png(colour, 8, 2)[:-12], colour, "PNG", notes=(words.END_MARK_MISSING,))
    cases["png without its last byte"] = Good(png(colour, 8, 2)[:-1], colour, "PNG", notes=(words.END_MARK_MISSING,))
    cases["png animated"] = Good(
        saved(Image.fromarray(colour), "PNG", save_all=True, append_images=[Image.fromarray(255 - colour)]),
        colour,
        "PNG",
        notes=(words.FIRST_FRAME,),
    )
    return cases


def _others() -> dict[str, Good]:
    colour, grey, alpha = scene(), grey_scene(), _alpha()
    rgba = np.concatenate([colour, alpha], 2)
    inks = Image.fromarray(colour).convert("CMYK")
    frames = [Image.fromarray(255 - colour)]
    indexed = Image.fromarray(colour).quantize(64)
    indexed_shown = np.asarray(indexed.convert("RGB"))
    hole = indexed.copy()
    hole.info["transparency"] = int(np.asarray(hole)[0, 0])
    hole_shown = np.where((np.asarray(indexed) == np.asarray(indexed)[0, 0])[:, :, None], 255, indexed_shown)
    deep = np.arange(HEIGHT * WIDTH * 3, dtype=np.int64).reshape(HEIGHT, WIDTH, 3) * 22
    scaled = np.rint(deep / 257).astype(np.uint8)
    half = np.full((HEIGHT, WIDTH, 1), 128, dtype=np.uint8)
    cases = {
        "jpeg": Good(saved(colour, "JPEG", quality=95), colour, "JPEG", NEAR),
        "jpeg without subsampling": Good(saved(colour, "JPEG", quality=98, subsampling=0), colour, "JPEG", NEAR),
        "jpeg progressive": Good(saved(colour, "JPEG", quality=95, progressive=True), colour, "JPEG", NEAR),
        "jpeg grey": Good(saved(grey, "JPEG", quality=95), three(grey), "JPEG", NEAR),
        "jpeg cmyk": Good(saved(inks, "JPEG", quality=98), colour, "JPEG", LOSSY, (words.CMYK,)),
        "jpeg ycck": Good(ycck(colour), colour, "JPEG", LOSSY, (words.CMYK,)),
        "jpeg rgb": Good(saved(colour, "JPEG", quality=98, keep_rgb=True), colour, "JPEG", NEAR),
        "jpeg with a profile": Good(
            saved(colour, "JPEG", quality=95, icc_profile=b"x" * 200), colour, "JPEG", NEAR, (words.PROFILE_IGNORED,)
        ),
        "jpeg with rubbish behind": Good(saved(colour, "JPEG", quality=95) + b"rubbish", colour, "JPEG", NEAR),
        "webp lossless": Good(saved(colour, "WEBP", lossless=True), colour, "WEBP"),
        "webp lossy": Good(saved(colour, "WEBP", quality=95), colour, "WEBP", LOSSY),
        "webp alpha": Good(
            saved(rgba, "WEBP", lossless=True, exact=True), _over_white(colour, alpha), "WEBP", notes=(words.ALPHA,)
        ),
        "webp lossy alpha": Good(
            saved(rgba, "WEBP", quality=95), _over_white(colour, alpha), "WEBP", LOSSY, (words.ALPHA,)
        ),
        "webp animated": Good(
            saved(colour, "WEBP", lossless=True, save_all=True, append_images=frames),
            colour,
            "WEBP",
            notes=(words.FIRST_FRAME,),
        ),
        "gif": Good(saved(indexed, "GIF"), indexed_shown, "GIF", notes=(words.PALETTE,)),
        "gif grey": Good(saved(grey, "GIF"), three(grey), "GIF", notes=(words.PALETTE,)),
        "gif transparent": Good(
            saved(hole, "GIF", transparency=hole.info["transparency"]),
            hole_shown,
            "GIF",
            notes=(words.ALPHA, words.PALETTE),
        ),
        "gif animated": Good(
            saved(indexed, "GIF", save_all=True, append_images=frames),
            indexed_shown,
            "GIF",
            notes=(words.FIRST_FRAME, words.PALETTE),
        ),
        "gif without its end": Good(
            saved(indexed, "GIF").removesuffix(b";"), indexed_shown, "GIF", 0, (words.END_MARK_MISSING, words.PALETTE)
        ),
        "bmp": Good(saved(colour, "BMP"), colour, "BMP"),
        "bmp grey": Good(saved(grey, "BMP"), three(grey), "BMP"),
        "bmp palette": Good(saved(indexed, "BMP"), indexed_shown, "BMP", notes=(words.PALETTE,)),
        "bmp black and white": Good(
            saved(Image.fromarray(grey > 99), "BMP"), three((grey > 99) * np.uint8(255)), "BMP"
        ),
        "tiff": Good(saved(colour, "TIFF"), colour, "TIFF"),
        "tiff lzw": Good(saved(colour, "TIFF", compression="tiff_lzw"), colour, "TIFF"),
        "tiff deflate": Good(saved(colour, "TIFF", compression="tiff_adobe_deflate"), colour, "TIFF"),
        "tiff jpeg": Good(saved(colour, "TIFF", compression="jpeg", quality=95), colour, "TIFF", LOSSY),
        "tiff fax": Good(
            saved(Image.fromarray(grey > 99), "TIFF", compression="group4"),
            three((grey > 99) * np.uint8(255)),
            "TIFF",
        ),
        "tiff palette": Good(saved(indexed, "TIFF"), indexed_shown, "TIFF", notes=(words.PALETTE,)),
        "tiff cmyk": Good(saved(inks, "TIFF"), colour, "TIFF", notes=(words.CMYK,)),
        "tiff alpha": Good(saved(rgba, "TIFF"), _over_white(colour, alpha), "TIFF", notes=(words.ALPHA,)),
        "tiff pages": Good(
            saved(colour, "TIFF", save_all=True, append_images=frames), colour, "TIFF", notes=(words.FIRST_PAGE,)
        ),
        "tiff white is zero": Good(tiff(grey[:, :, None], 0, bits=8), three(255 - grey), "TIFF"),
        "tiff turned": Good(
            saved(as_stored(colour, 6), "TIFF", tiffinfo={274: 6}), colour, "TIFF", notes=(words.TURNED,)
        ),
        "pnm colour": Good(saved(colour, "PPM"), colour, "PNM"),
        "pnm grey": Good(saved(grey, "PPM"), three(grey), "PNM"),
        "pnm bitmap": Good(saved(Image.fromarray(grey > 99), "PPM"), three((grey > 99) * np.uint8(255)), "PNM"),
        "pnm plain": Good(
            b"P3 # made by hand\n40 24 255\n" + " ".join(map(str, colour.ravel())).encode(), colour, "PNM"
        ),
        "pnm plain bitmap": Good(
            b"P1\n40 24\n" + b"".join(b"0" if value else b"1" for value in (grey > 99).ravel()),
            three((grey > 99) * np.uint8(255)),
            "PNM",
        ),
        "pnm 16 bit": Good(b"P6 40 24 65535\n" + deep.astype(">u2").tobytes(), scaled, "PNM", notes=(words.DEEP,)),
        "pnm 4 bit": Good(
            b"P5 40 24 15\n" + (grey >> 4).tobytes(), three((grey >> 4) * np.uint8(17)), "PNM", 0, (words.RESCALED,)
        ),
        "avif": Good(saved(colour, "AVIF", quality=95, subsampling="4:4:4"), colour, "AVIF", LOSSY),
        "avif alpha": Good(
            saved(np.concatenate([colour, half], 2), "AVIF", quality=95, subsampling="4:4:4"),
            _over_white(colour, half),
            "AVIF",
            LOSSY,
            (words.ALPHA,),
        ),
        "avif turned": Good(
            saved(as_stored(colour, 6), "AVIF", quality=95, subsampling="4:4:4", exif=exif(6)),
            colour,
            "AVIF",
            LOSSY,
            (words.TURNED,),
        ),
        "avif animated": Good(
            saved(colour, "AVIF", quality=95, subsampling="4:4:4", save_all=True, append_images=frames),
            colour,
            "AVIF",
            LOSSY,
            (words.FIRST_FRAME,),
        ),
    }
    for order, name in (("<", "little"), (">", "big")):
        cases[f"tiff 16 bit colour, {name} end first"] = Good(tiff(deep, 2, order), scaled, "TIFF", notes=(words.DEEP,))
        cases[f"tiff 16 bit grey, {name} end first"] = Good(
            tiff(deep[:, :, :1], 1, order), three(scaled[:, :, 0]), "TIFF", notes=(words.DEEP,)
        )
    cases["tiff 16 bit white is zero"] = Good(
        tiff(65_535 - deep[:, :, :1], 0), three(scaled[:, :, 0]), "TIFF", notes=(words.DEEP,)
    )
    cases["tiff 16 bit deflate"] = Good(
        saved(Image.fromarray(deep[:, :, 0].astype(np.uint16)), "TIFF", compression="tiff_adobe_deflate"),
        three(scaled[:, :, 0]),
        "TIFF",
        notes=(words.DEEP,),
    )
    for orientation in range(1, 9):
        stored = as_stored(colour, orientation)
        notes = (words.TURNED,) if orientation > 1 else ()
        for order in "<>":
            cases[f"jpeg orientation {orientation} {order}"] = Good(
                saved(stored, "JPEG", quality=95, exif=b"Exif\0\0" + exif(orientation, order)),
                colour,
                "JPEG",
                NEAR,
                notes,
            )
        cases[f"png orientation {orientation}"] = Good(
            png(stored, 8, 2, before=[chunk(b"eXIf", exif(orientation))]), colour, "PNG", notes=notes
        )
        cases[f"webp orientation {orientation}"] = Good(
            saved(stored, "WEBP", lossless=True, exif=exif(orientation)), colour, "WEBP", notes=notes
        )
    return cases


def _whole() -> dict[str, bytes]:
    chosen = ("png colour 8 bit", "jpeg", "webp lossy", "gif", "bmp", "tiff", "avif", "pnm colour")
    return {GOOD[name].format: GOOD[name].content for name in chosen}


def _patched(content: bytes, place: int, patch: bytes) -> bytes:
    return content[:place] + patch + content[place + len(patch) :]


def _bombs() -> dict[str, bytes]:
    """Small files that state an enormous picture."""
    files = WHOLE
    tiff_width = files["TIFF"].index(struct.pack("<HHI", 256, 4, 1)) + 8
    return {
        "PNG": png(scene(), 8, 2, size=(50_000, 50_000)),
        "JPEG": jpeg_of_size(65_000, 65_000),
        "WEBP": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0" * 4 + b"\xfe\x3f\0" * 2,
        "GIF": _patched(files["GIF"], 6, b"\xff\xff\xff\xff"),
        "BMP": _patched(files["BMP"], 18, struct.pack("<ii", 50_000, 50_000)),
        "TIFF": _patched(
            _patched(files["TIFF"], tiff_width, struct.pack("<I", 50_000)), tiff_width + 12, b"\x50\xc3\0\0"
        ),
        "AVIF": _patched(files["AVIF"], files["AVIF"].index(b"ispe") + 8, struct.pack(">II", 11_000, 11_000)),
        "PNM": b"P6 50000 50000 255\n",
    }


def _bad() -> dict[str, Bad]:
    noise = np.random.Generator(np.random.PCG64(1)).bytes(2_000)
    signatures = {"PNG": 8, "JPEG": 3, "WEBP": 16, "GIF": 6, "BMP": 18, "TIFF": 8, "AVIF": 12, "PNM": 3}
    cases = {
        "nothing": Bad(b"", (words.ZERO_BYTES,)),
        "one byte": Bad(b"\xff", (words.NOT_A_PICTURE,)),
        "text": Bad(b"not a picture", (words.NOT_A_PICTURE,)),
        "noise": Bad(noise, (words.NOT_A_PICTURE,)),
        "postscript": Bad(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", (words.NOT_A_PICTURE,)),
        "pcx": Bad(saved(grey_scene(), "PCX"), (words.NOT_A_PICTURE,)),
        "tiff of integers": Bad(saved(Image.new("I", (9, 9)), "TIFF"), (words.unknown_range("I"),)),
        "tiff of fractions": Bad(saved(Image.new("F", (9, 9)), "TIFF"), (words.unknown_range("F"),)),
        "tiff of LAB": Bad(saved(Image.new("LAB", (9, 9)), "TIFF"), (words.unreadable("TIFF"),)),
        "jpeg without its end mark": Bad(WHOLE["JPEG"][:-2], (words.TRUNCATED,)),
        "png with a broken sum": Bad(
            WHOLE["PNG"][:-14] + bytes([WHOLE["PNG"][-14] ^ 1]) + WHOLE["PNG"][-13:], (words.unreadable("PNG"),)
        ),
    }
    for kind, content in WHOLE.items():
        broken = (words.TRUNCATED, words.unreadable(kind))
        cases[f"{kind} cut at 30 %"] = Bad(content[: len(content) * 3 // 10], (words.TRUNCATED,))
        if kind not in ("GIF", "PNG"):  # whose last byte belongs to the end mark alone
            cases[f"{kind} without its last byte"] = Bad(content[:-1], (words.TRUNCATED,))
        cases[f"{kind} of noise"] = Bad(content[: signatures[kind]] + noise, (*broken, words.BOMB))
    for kind, content in _bombs().items():
        cases[f"{kind} bomb"] = Bad(content, (words.BOMB,))
    return cases


GOOD = _pngs() | _others()  # everything that is read, by name
WHOLE = _whole()  # one ordinary file of each format
BAD = _bad()  # everything that is rejected, by name
