"""``ganvas schedule``: recurring runs, made, listed, switched and removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from models.errors import ConfigurationError
from pipelines.remote.schedules import Clock, clock
from tests.pipelines.commands import Ganvas, assert_one_error
from tests.pipelines.remote.fake import Fake, running_fake

IMAGE = "registry.example/ganvas@sha256:" + "0" * 64
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # kfp's own


@pytest.fixture
def kfp_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    monkeypatch.setenv("HOME", "/nonexistent")
    with running_fake() as fake:
        monkeypatch.setenv("KFP_HOST", fake.url)
        yield fake


@pytest.mark.parametrize(
    ("cron", "every", "when"),
    [
        ("0 3 * * *", "", Clock(cron="0 0 3 * * *")),
        ("30 0 3 ? * MON-FRI", "", Clock(cron="30 0 3 ? * MON-FRI")),
        ("", "30m", Clock(interval_seconds=1800)),
        ("", "2w", Clock(interval_seconds=2 * 7 * 86400)),
    ],
)
def test_when(cron: str, every: str, when: Clock) -> None:
    assert clock(cron, every) == when


@pytest.mark.parametrize(
    ("cron", "every"), [("", ""), ("0 3 * * *", "6h"), ("daily", ""), ("0 3 * * ;", ""), ("", "0h"), ("", "soon")]
)
def test_no_time_is_refused(cron: str, every: str) -> None:
    with pytest.raises(ConfigurationError):
        clock(cron, every)


def created(ganvas: Ganvas, *more: object) -> Any:
    return ganvas("schedule", "create", "ring-gan", "--image", IMAGE, *more)


def test_the_life_of_a_schedule(ganvas: Ganvas, kfp_server: Fake) -> None:
    made = created(ganvas, "--cron", "0 3 * * *", "--set", "seed=3", "--max-concurrency", "2", "--json")
    assert made.code == 0, made.err
    assert json.loads(made.out)["schedule_id"] == "schedule-0"
    (body,) = kfp_server.bodies("POST", "/apis/v2beta1/recurringruns")
    assert body["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert body["no_catchup"] is True
    assert int(body["max_concurrency"]) == 2
    assert body["mode"] == "ENABLE"
    assert body["runtime_config"]["parameters"] == {"seed": 3}
    assert body["pipeline_version_reference"]["pipeline_version_id"] == "version-0"
    assert body["experiment_id"] == "experiment-0"

    assert created(ganvas, "--every", "6h", "--name", "often", "--disabled").code == 0
    assert created(ganvas, "--every", "1d", "--name", "third").code == 0
    assert len(kfp_server.versions) == 1
    listed = json.loads(ganvas("schedule", "list", "--json").out)
    assert [(one["name"], one["enabled"], one["when"]) for one in listed] == [
        ("ring-gan", True, "0 0 3 * * *"),
        ("often", False, "every 21600 s"),
        ("third", True, "every 86400 s"),
    ]
    assert "often" in ganvas("schedule", "list").err

    assert ganvas("schedule", "enable", "often").code == 0
    assert ganvas("schedule", "disable", "schedule-0").code == 0
    assert ganvas("schedule", "delete", "third").code == 0
    listed = json.loads(ganvas("schedule", "list", "--json").out)
    assert [(one["name"], one["enabled"]) for one in listed] == [("ring-gan", False), ("often", True)]


def test_two_of_a_name_would_both_run(ganvas: Ganvas, kfp_server: Fake) -> None:
    assert created(ganvas, "--every", "6h").code == 0
    assert_one_error(created(ganvas, "--every", "6h"), 2, "ring-gan", "already")
    assert len(kfp_server.schedules) == 1


def test_an_unknown_schedule_names_those_that_are_there(ganvas: Ganvas, kfp_server: Fake) -> None:
    assert created(ganvas, "--every", "6h", "--name", "nightly").code == 0
    assert_one_error(ganvas("schedule", "delete", "daily"), 1, "daily", "nightly")
    assert_one_error(created(ganvas, "--name", "x"), 2, "--cron", "--every")


def test_a_refusal_is_one_line(ganvas: Ganvas, kfp_server: Fake) -> None:
    kfp_server.faults["recurringruns"] = 403, {"error": "not yours"}
    assert_one_error(ganvas("schedule", "list"), 1, "403", "not yours")
