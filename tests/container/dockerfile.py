"""Reading a Dockerfile and a .dockerignore as far as the laws of ours need it."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field


@dataclass
class Stage:
    """From one FROM to the next.

    Attributes:
        name: after AS.
        parent: the image or the stage that it starts from.
        instructions: (KEYWORD, the rest), in order, continuation lines joined and comments left out.
    """

    name: str
    parent: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def of(self, keyword: str) -> list[str]:
        """What follows one keyword, in order."""
        return [rest for found, rest in self.instructions if found == keyword]

    def copied(self) -> list[tuple[str, list[str], str]]:
        """Of each COPY: the stage it copies from, empty for the context; the sources; the destination.

        Arguments of the stage have their defaults.
        """
        found = []
        defaults = dict(rest.split("=", 1) for rest in self.of("ARG") if "=" in rest)
        for rest in self.of("COPY"):
            flags, words = _flags_and_words(re.sub(r"\$\{(\w+)\}", lambda match: defaults[match[1]], rest))
            found.append((flags.get("from", ""), words[:-1], words[-1]))
        return found


def read_stages(text: str) -> dict[str, Stage]:
    """The stages by their names, in order."""
    stages: dict[str, Stage] = {}
    current: Stage | None = None
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    for line in filter(None, map(str.strip, lines.replace("\\\n", " ").splitlines())):
        keyword, rest = line.split(maxsplit=1)
        if keyword == "FROM":
            parent, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()  # type: ignore[union-attr]
            current = stages[name] = Stage(name, parent)
        elif current is not None:
            current.instructions.append((keyword, " ".join(rest.split())))
    return stages


def ancestry(stages: dict[str, Stage], name: str) -> list[Stage]:
    """A stage and those that it starts from, nearest first."""
    found = [stages[name]]
    while found[-1].parent in stages:
        found.append(stages[found[-1].parent])
    return found


def admitted(ignore: str) -> list[str]:
    """What a .dockerignore that begins by excluding everything lets through, in order.

    Raises:
        ValueError: if it does not begin by excluding everything.
    """
    lines = [line for line in ignore.split("\n") if line and not line.startswith("#")]
    if lines[0] != "*":
        raise ValueError("It has to begin with *: what nobody thought of stays out.")
    return [line[1:] for line in lines if line.startswith("!")]


def _flags_and_words(rest: str) -> tuple[dict[str, str], list[str]]:
    words = shlex.split(rest)
    flags = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
    return flags, [word for word in words if not word.startswith("--")]
