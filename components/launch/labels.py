"""What a TrainJob is marked with, so that a run's own are known from everybody else's."""

from __future__ import annotations

import hashlib
import re

MANAGED_BY, MANAGER = "app.kubernetes.io/managed-by", "ganvas"
RUN_LABEL = "ganvas/pipeline-run"
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def labels_of(pipeline_run_id: str) -> dict[str, str]:
    """The labels of a run's TrainJobs."""
    return {MANAGED_BY: MANAGER, RUN_LABEL: label_value(pipeline_run_id)}


def label_value(text: str) -> str:
    """A text as a label may hold it: itself where it can be, else its hash."""
    return text if not text or _LABEL_VALUE.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()[:32]
