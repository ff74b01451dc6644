"""Pictures inside ZIP and tar archives, laid out as in a folder or as WebDataset does."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from components.prepare.manifest import MixtureParameters
from components.prepare.sources.held import Held
from components.prepare.sources.members import NO_END, Contents, Member, common_top
from components.prepare.sources.names import BESIDE_CLASSES, CHANGED, class_of, not_empty, unreadable
from components.prepare.sources.source import Encoded, Entry, Item, Rejection
from components.prepare.sources.tars import tar_bodies, tar_contents
from components.prepare.sources.webdataset import is_webdataset, with_classes
from components.prepare.sources.zips import zip_bodies, zip_contents
from models.errors import ConfigurationError

LAYOUTS = ("folder", "webdataset")


class ArchiveSource:
    """Members of one or many archives; nothing is ever unpacked to disk.

    The listing holds every member's name in memory, but contents only one at a time. A folder that all pictures of
    all archives lie in is taken off their names. Without a layout that is asked for, archives with members
    ``*.cls`` are read as WebDataset.
    """

    kind: Literal["image", "vector"] = "image"
    mixture: MixtureParameters | None = None

    def __init__(self, files: Sequence[Held], name: str, layout: str | None = None) -> None:
        """
        Raises:
            ConfigurationError: for an unknown layout.
        """
        if layout not in (None, *LAYOUTS):
            raise ConfigurationError(f"Unknown layout {layout!r} of an archive.", f"Known are: {', '.join(LAYOUTS)}.")
        self._files = list(files)
        self._layout = layout
        self.name = name
        self.sequential = not all(map(_is_zip, self._files))

    def listing(self) -> Iterator[Item | Rejection]:
        yield from not_empty(self._listed(), self.name, "pictures")

    def read(self, items: Sequence[Item]) -> Iterator[Entry]:
        by_name = {file.name: file for file in self._files}
        shares: dict[str, dict[str, Item]] = {file.name: {} for file in self._files}
        for item in items:
            file = self._file_of(item, by_name)
            if not _is_zip(file) and not item.tag.startswith(f"{file.stamp}:"):
                yield Rejection(item.name, CHANGED)
            else:
                shares[file.name][_place(item)] = item
        for file in self._files:
            if shares[file.name]:
                yield from self._read_one(file, shares[file.name])

    def _read_one(self, file: Held, wanted: Mapping[str, Item]) -> Iterator[Entry]:
        missing = dict(wanted)
        bodies = zip_bodies if _is_zip(file) else tar_bodies
        reason = CHANGED
        try:
            for place, body in bodies(file.path, wanted):
                item = missing.pop(place)
                if isinstance(body, str):
                    yield Rejection(item.name, body)
                else:
                    yield Encoded(item.name, body, _class(item))
        except (OSError, ValueError, NotImplementedError, EOFError, zipfile.BadZipFile) as error:
            reason = unreadable(error)
        for item in missing.values():
            yield Rejection(item.name, reason)

    def _listed(self) -> Iterator[Item | Rejection]:
        found: list[tuple[Held, Contents]] = []
        for file in self._files:
            found.append((file, zip_contents(file.path) if _is_zip(file) else tar_contents(file.path)))
            for fault in found[-1][1].faults:
                yield Rejection(file.name, fault, candidate=fault != NO_END)
        layout = self._layout or (
            "webdataset" if any(is_webdataset(contents.members) for _, contents in found) else "folder"
        )
        yield from self._as_webdataset(found) if layout == "webdataset" else self._as_folder(found)

    def _as_webdataset(self, found: Sequence[tuple[Held, Contents]]) -> Iterator[Item | Rejection]:
        labelled = [(file, contents, with_classes(contents.members)) for file, contents in found]
        for file, contents, classes in labelled:
            for member in contents.members:
                yield self._entry(file, member, member.name, classes.get(member.place))

    def _as_folder(self, found: Sequence[tuple[Held, Contents]]) -> Iterator[Item | Rejection]:
        samples = [member for _, contents in found for member in contents.members if not member.reason]
        top = common_top(iter(samples))
        has_classes = any("/" in member.name.removeprefix(top) for member in samples)
        for file, contents in found:
            for member in contents.members:
                name = member.name.removeprefix(top)
                if has_classes and not member.reason and "/" not in name:
                    member.reason = BESIDE_CLASSES
                yield self._entry(file, member, name, class_of(name))

    def _entry(self, file: Held, member: Member, name: str, class_name: str | None) -> Item | Rejection:
        full = f"{file.name}/{name}" if len(self._files) > 1 else name
        if member.reason:
            return Rejection(full, member.reason, candidate=member.candidate)
        place = member.place if _is_zip(file) else f"{file.stamp}:{member.place}"
        return Item(full, member.size_bytes, place if class_name is None else f"{place}={class_name}")

    def _file_of(self, item: Item, by_name: Mapping[str, Held]) -> Held:
        if len(self._files) == 1:
            return self._files[0]
        end = item.name.find("/")
        while item.name[:end] not in by_name:
            end = item.name.index("/", end + 1)
        return by_name[item.name[:end]]


def _is_zip(file: Held) -> bool:
    return file.name.lower().endswith(".zip")


def _place(item: Item) -> str:
    """Where a member is found again, out of an item's tag: ``stamp:place=class``."""
    return item.tag.partition("=")[0].rpartition(":")[2]


def _class(item: Item) -> str | None:
    _, mark, class_name = item.tag.partition("=")
    return class_name if mark else None
