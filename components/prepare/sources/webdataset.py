"""The layout of WebDataset: what belongs to one sample shares its name up to the first dot."""

from __future__ import annotations

import json
from collections.abc import Iterable

from components.prepare.sources.members import Member
from components.prepare.sources.tars import LABEL_SUFFIXES

LONGEST_CLASS = 100
NO_CLASS = "no class beside it"
NO_PICTURE_BESIDE = "class without a picture"


def key_of(name: str) -> str:
    """The path up to the first dot of its last part."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition('.')[0]}"


def is_webdataset(members: Iterable[Member]) -> bool:
    """Whether there are members ``*.cls``, which no other layout has."""
    return any(member.label is not None and member.name.endswith(".cls") for member in members)


def with_classes(members: list[Member]) -> dict[str, str]:
    """The class of each picture by its place; the members are marked.

    The files that state classes are part of their pictures: they are taken out of the list. Where some pictures
    have a class, the others are rejected.
    """
    classes: dict[str, str] = {}
    for suffix in reversed(LABEL_SUFFIXES):  # .cls before .json before .txt, where there are several
        for member in members:
            if member.label is not None and member.name.endswith(suffix):
                stated = class_in(member.label, suffix)
                if stated is not None:
                    classes[key_of(member.name)] = stated
    keys = {key_of(member.name) for member in members if not member.reason}
    found: dict[str, str] = {}
    for member in members:
        key = key_of(member.name)
        if member.label is not None:
            member.reason = "" if key in keys else NO_PICTURE_BESIDE
        elif not member.reason and key in classes:
            found[member.place] = classes[key]
        elif not member.reason and classes:
            member.reason = NO_CLASS
    members[:] = [member for member in members if member.label is None or member.reason]
    return found


def class_in(content: bytes, suffix: str) -> str | None:
    """The class that a file beside a picture states, None where it states none."""
    try:
        text = content.decode().strip()
        if suffix == ".json":
            document = json.loads(text)
            stated = next((document[field] for field in ("label", "class") if field in document), None)
            text = str(stated).strip() if isinstance(stated, str | int) else ""
        text.encode()  # JSON can spell what is no text
    except (ValueError, TypeError, RecursionError):
        return None
    return text if text and len(text) <= LONGEST_CLASS and "\n" not in text else None
