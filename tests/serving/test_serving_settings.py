"""Settings: what they are by default, and which do not go together."""

from __future__ import annotations

import os

import pytest

from serving.cores import available_cores, quota_cores
from serving.errors import UsageError
from serving.settings import read_settings


def test_there_is_one_instance_for_each_core_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5}, raising=False)
    assert read_settings(models=("m",)).runs_at_a_time == 1


def test_cores_are_counted_where_no_affinity_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cores() == 1


@pytest.mark.parametrize(
    ("cpu_max", "cores"),
    [("max 100000\n", 8), ("200000 100000\n", 2), ("50000 100000\n", 1), ("150000 100000", 2), ("", 8), ("0 0", 8)],
)
def test_a_containers_quota_counts_in_whole_cores(cpu_max: str, cores: int) -> None:
    assert quota_cores(cpu_max, 8) == cores


def test_one_answer_must_fit_the_queue() -> None:
    # Its runs are taken together or not at all: such a request would be told to come back for ever.
    with pytest.raises(UsageError, match="max_queue"):
        read_settings(models=("m",), max_images=256, max_batch=64, max_queue=3)
    assert read_settings(models=("m",), max_images=256, max_batch=64, max_queue=4).max_queue == 4
