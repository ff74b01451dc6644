"""The tree of errors that a person is meant to read.

::

    GanvasError                 one clear line: what, where, what next; exit code 1
    ├── ConfigurationError      a setting is unknown, out of range or contradicts another; exit code 2
    ├── ArtifactError           a directory between two steps is missing, half-written or altered
    ├── SourceError             the data cannot be listed or read
    ├── TrainingError           training cannot go on (a loss or a gradient is not finite)
    ├── StorageError            a durable place cannot be read or written
    ├── ClusterError            Kubernetes cannot be reached, refuses, or lost what it was asked to run
    ├── ExportError             the exported graph does not agree with the trained network
    ├── TrackingError           MLflow cannot be reached or refuses
    └── GateFailed              the verdict is "failed"; exit code 3

It lives in the innermost room so that every other one can raise it. The HTTP and command-line
codes are attached where they are spoken: here for the command line, in ``serving`` for HTTP.
"""

from __future__ import annotations


class GanvasError(Exception):
    """Base of every error that is shown to a person as one line.

    Args:
        message: What was wrong and where.
        remedy: What to do next, as an instruction.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(f"{message} {remedy}".strip())


class ConfigurationError(GanvasError):
    """A setting is unknown, out of range, or contradicts another."""

    exit_code = 2


class ArtifactError(GanvasError):
    """A directory that crosses two steps is missing, half-written or altered."""


class SourceError(GanvasError):
    """The data cannot be listed or read."""


class TrainingError(GanvasError):
    """Training cannot go on."""


class StorageError(GanvasError):
    """A durable place cannot be read or written."""


class ClusterError(GanvasError):
    """Kubernetes cannot be reached, refuses, or lost what it was asked to run."""


class ExportError(GanvasError):
    """The exported graph does not agree with the network it came from."""


class TrackingError(GanvasError):
    """MLflow cannot be reached or refuses."""


class GateFailed(GanvasError):
    """The verdict is "failed": nothing was promoted."""

    exit_code = 3
