"""Ways in which files are broken."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

Kind = Literal["flip", "set", "cut", "remove", "insert", "repeat", "swap", "number", "sums"]
KINDS: tuple[Kind, ...] = ("flip", "set", "cut", "remove", "insert", "repeat", "swap", "number", "sums")
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True)
class Edit:
    """``where`` and ``other`` are shares of the file's length from 0 to 1; ``value`` is any byte or number."""

    kind: Kind
    where: float
    other: float
    value: int


def damaged(content: bytes, edits: list[Edit]) -> bytes:
    """The file after these edits, one after the other."""
    for edit in edits:
        place, other = int(edit.where * len(content)), int(edit.other * len(content))
        low, high = min(place, other), max(place, other)
        byte = bytes([edit.value & 255])
        match edit.kind:
            case "flip" if place < len(content):
                content = content[:place] + bytes([content[place] ^ (1 << (edit.value & 7))]) + content[place + 1 :]
            case "set" if place < len(content):
                content = content[:place] + byte + content[place + 1 :]
            case "cut":
                content = content[:place]
            case "remove":
                content = content[:low] + content[min(high, low + 64) :]
            case "insert":
                content = content[:place] + byte * (1 + (edit.value >> 8) % 32) + content[place:]
            case "repeat":
                content = content[:high] + content[low:high][:4_096] + content[high:]
            case "swap":  # two pieces of 32 bytes
                if low + 32 <= high and high + 32 <= len(content):
                    first, second = content[low : low + 32], content[high : high + 32]
                    content = content[:low] + second + content[low + 32 : high] + first + content[high + 32 :]
            case "number":
                size, order = 2 + 2 * (edit.value & 1), "little" if edit.value & 2 else "big"
                number = NUMBERS[edit.value % len(NUMBERS)] & ((1 << (8 * size)) - 1)
                written = number.to_bytes(size, "little" if order == "little" else "big")
                content = content[:place] + written + content[place + size :]
            case "sums":
                content = with_right_sums(content)
    return content


def with_right_sums(content: bytes) -> bytes:
    """A PNG whose chunks' sums are right again, so that damage reaches what lies behind them; others as they are."""
    if not content.startswith(b"\x89PNG"):
        return content
    result, position = content[:8], 8
    while position + 12 <= len(content):
        length = int.from_bytes(content[position : position + 4])
        kind_and_body = content[position + 4 : position + 8 + length]
        result += content[position : position + 4] + kind_and_body + zlib.crc32(kind_and_body).to_bytes(4)
        position += 12 + length
    return result + content[position:]
