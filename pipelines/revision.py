"""What the code is, for the lineage of what it makes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from components.environment import CODE_REVISION

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_SECONDS = 10


def code_revision(root: Path = ROOT) -> str:
    """``GANVAS_CODE_REVISION``, or the commit of the clone that runs, with ``-dirty`` where files were changed.

    Empty where neither is known: an installed package is in no clone, whatever lies around it.
    """
    if given := os.environ.get(CODE_REVISION, ""):
        return given
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):  # no git here, or a clone that is another user's
        return ""
    return said.stdout.strip()
