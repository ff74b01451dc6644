"""Reading a Report back: without what it takes to make one."""

from __future__ import annotations

from pathlib import Path

from components.artifacts import read_document
from components.evaluate.documents import METRICS_NAME, VERDICT_NAME, Metrics, Verdict


def read_report(directory: Path) -> tuple[Metrics, Verdict]:
    """The documents of a finished Report.

    Raises:
        ArtifactError: if the report is incomplete, or a document is of another version or altered.
    """
    verdict = read_document(directory, VERDICT_NAME, Verdict)
    return read_document(directory, METRICS_NAME, Metrics), verdict
