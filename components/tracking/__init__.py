"""The pipeline's only package that speaks MLflow. mlflow is imported when something is asked of it, not before."""

from __future__ import annotations

from components.tracking.names import (
    CHALLENGER,
    CHAMPION,
    DATASET_NAME_TAG,
    EXTRACTOR_TAG,
    PREVIOUS_CHAMPION_TAG,
    RUN_TAG,
    VERDICT_TAG,
)
from components.tracking.place import is_absent, is_server, run_page, tracking_uri, vanishes_with_pod
from components.tracking.registry import Registry
from components.tracking.runs import Runs, run_tags

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "DATASET_NAME_TAG",
    "EXTRACTOR_TAG",
    "PREVIOUS_CHAMPION_TAG",
    "RUN_TAG",
    "VERDICT_TAG",
    "Tracking",
    "is_absent",
    "is_server",
    "run_page",
    "run_tags",
    "tracking_uri",
    "vanishes_with_pod",
]


class Tracking(Runs, Registry):
    """One MLflow store: its runs and its registered models."""
