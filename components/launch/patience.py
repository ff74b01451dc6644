"""How long what is waited for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Seconds, all of them."""

    total_seconds: float
    """Of the whole training."""
    progress_seconds: float
    """Without a sign of life: no line in the log, no change of a node or of the job, no answer of the API."""
    tick_seconds: float = 10.0
    """Between two looks at nodes and events; what changes the job itself is seen at once."""
    watch_margin_seconds: float = 5.0
    """That a watch may take longer than it was asked to."""
    stuck_seconds: float = 90.0
    """That a container may stay unable to start: a registry may recover, a name that is wrong does not."""
    first_pause_seconds: float = 1.0
    longest_pause_seconds: float = 30.0
    """Between two attempts at an API that does not answer; doubled each time."""
    request_seconds: float = 15.0
    """Of one request."""
    deletion_seconds: float = 180.0
    """Until the deleted job and its pods are gone: their grace is 120 s."""
    mark_seconds: float = 60.0
    """Between two signs of the launcher's own life."""
    launcher_seconds: float = 1_800.0
    """Without one of these, after which the nodes stop. A retried step has so long to take its job up."""
    termination_seconds: float = 20.0
    """To ask for the deletion after SIGTERM: a pod is killed 30 s after it."""
