"""A TrainJob's start, where its name is taken for a moment."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from components.launch.api import Cluster
from components.launch.lifecycle import TrainJob
from components.launch.termination import Termination
from tests.components.launch.fake_api import FakeCluster, Fault
from tests.components.launch.faults import HASTY

PAUSE_SECONDS = 0.0123
BODY = {"metadata": {"name": "one", "labels": {}}, "spec": {"trainer": {"numNodes": 2}}}


def test_a_name_that_is_taken_by_nothing_is_asked_for_again_after_a_pause(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    cluster.faults.append(Fault("POST", "/trainjobs$", 409, "trainjobs is there", times=3))
    patience = replace(HASTY, first_pause_seconds=PAUSE_SECONDS)
    TrainJob(Cluster(patience), BODY, patience, Termination()).start()
    assert slept.count(PAUSE_SECONDS) == 3
    assert "one" in cluster.jobs
