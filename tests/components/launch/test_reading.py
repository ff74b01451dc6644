"""What pods, answers and time stamps say, as pure functions."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes.client import ApiException

from components.launch.log import sortable
from components.launch.reading import Node, ended, first_failed, newest_attempt, node_of, signs_of_life
from components.launch.refusals import is_transient, reason_of, refusal, retry_after_seconds


def pod(name: str, index: int = 0, attempt: int = 0, **status: Any) -> dict[str, Any]:
    labels = {
        "batch.kubernetes.io/job-completion-index": str(index),
        "jobset.sigs.k8s.io/restart-attempt": str(attempt),
    }
    return {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": status}


def running(name: str, index: int = 0, attempt: int = 0, **state: Any) -> Node:
    container = {"name": "node", "ready": True, "state": state or {"running": {}}}
    return node_of(pod(name, index, attempt, phase="Running", containerStatuses=[container]))


def failed(name: str, index: int, code: int, at: str) -> Node:
    state = {"terminated": {"exitCode": code, "finishedAt": at}}
    return node_of(pod(name, index, phase="Failed", containerStatuses=[{"name": "node", "state": state}]))


def test_a_pod_of_which_nothing_is_known_yet_is_pending() -> None:
    node = node_of({"metadata": {"name": "p"}})
    assert (node.phase, node.index, node.started, node.trouble, node.blocked) == ("Pending", 0, False, "", "")


def test_of_several_starts_the_newest_counts_and_of_a_node_s_pods_the_living() -> None:
    evicted = node_of(pod("c", 1, 1, phase="Failed", reason="Evicted", message="low on memory."))
    nodes = [running("a", 0, 0), running("b", 0, 1), evicted, running("d", 1, 1)]
    assert [node.pod for node in newest_attempt(nodes)] == ["b", "d"]
    assert evicted.trouble == "was evicted: low on memory"
    assert newest_attempt([]) == []


def test_the_first_failure_stands_before_its_consequences() -> None:
    late, early = failed("late", 0, 1, "2026-11-23T10:00:05Z"), failed("early", 1, 137, "2026-11-23T10:00:01Z")
    evicted = node_of(pod("evicted", 2, phase="Failed", reason="Evicted", message="m"))
    assert [node.pod for node in first_failed([late, running("r", 3), early, evicted])] == ["evicted", "early", "late"]


def test_a_pull_that_is_tried_again_and_again_is_no_sign_of_life() -> None:
    def waiting(reason: str) -> Node:
        state = {"waiting": {"reason": reason}}
        return node_of(pod("p", phase="Pending", containerStatuses=[{"name": "node", "state": state}]))

    first, second = waiting("ErrImagePull"), waiting("ImagePullBackOff")
    assert first.blocked and second.blocked
    assert signs_of_life({}, [first]) == signs_of_life({}, [second])
    assert signs_of_life({}, [first]) != signs_of_life({}, [running("p")])
    assert waiting("ContainerCreating").blocked == ""


@pytest.mark.parametrize(("kind", "succeeded"), [("Complete", True), ("Failed", False)])
def test_how_a_job_ended(kind: str, succeeded: bool) -> None:
    condition = {"type": kind, "status": "True", "reason": "R", "message": "m."}
    end = ended({"status": {"conditions": [{"type": "Suspended", "status": "False"}, condition]}})
    assert end is not None
    assert (end.succeeded, end.words) == (succeeded, "R: m")
    assert ended({"status": {"conditions": [{**condition, "status": "False"}]}}) is None
    assert ended({}) is None


def answer(status: int, body: str = "", headers: dict[str, str] | None = None) -> ApiException:
    error = ApiException(status=status, reason="R")
    error.body, error.headers = body, headers
    return error


def test_what_an_answer_means() -> None:
    assert is_transient(answer(503))
    assert not is_transient(answer(403))
    assert reason_of(answer(409, '{"reason": "AlreadyExists"}')) == "AlreadyExists"
    assert reason_of(answer(409, "a proxy's page")) == ""
    assert retry_after_seconds(answer(429, headers={"Retry-After": "7"})) == 7.0
    assert retry_after_seconds(answer(429, headers={"Retry-After": "86400"})) == 60.0
    assert retry_after_seconds(answer(429, headers={"Retry-After": "Mon, 23 Nov 2026"})) is None
    assert str(refusal(answer(418), "brew")).startswith("Kubernetes refused to brew: R (418).")


def test_time_stamps_sort_as_text_however_many_digits_they_have() -> None:
    stamps = ["2026-11-23T10:00:00Z", "2026-11-23T10:00:00.1234Z", "2026-11-23T10:00:00.12345Z"]
    assert sorted(map(sortable, reversed(stamps))) == list(map(sortable, stamps))
