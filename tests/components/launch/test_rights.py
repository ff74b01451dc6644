"""The committed role is what the launcher and the exit handler ask for: all of it, and nothing else."""

from __future__ import annotations

import pytest

from components.environment import CLUSTER
from components.launch.leftovers import delete_left_jobs
from tests.components.launch.faults import ROWS, RUN_ID, World, run_row
from tests.components.launch.rights import given_rights, right_to


@pytest.mark.parametrize(
    ("method", "path", "watch", "right"),
    [
        ("GET", "/api/v1/namespaces/kubeflow/pods", True, ("", "pods", "watch")),
        ("GET", "/api/v1/namespaces/kubeflow/pods", False, ("", "pods", "list")),
        ("GET", "/api/v1/namespaces/kubeflow/pods/p", False, ("", "pods", "get")),
        ("GET", "/api/v1/namespaces/kubeflow/pods/p/log", False, ("", "pods/log", "get")),
        ("DELETE", "/apis/g/v1/namespaces/kubeflow/trainjobs/j", False, ("g", "trainjobs", "delete")),
    ],
)
def test_a_right_is_read_from_a_request(method: str, path: str, watch: bool, right: tuple[str, str, str]) -> None:
    assert right_to(method, path, watch=watch) == right


def test_the_role_is_what_is_asked_for(world: World) -> None:
    """That nothing else is asked for, every other fault shows too: the server refuses what the role does not give."""
    (failing,) = (row for row in ROWS if row.fault == "the job fails after its restarts")
    assert run_row(failing, world).failed
    delete_left_jobs(RUN_ID, {CLUSTER: world.settings.model_dump_json()})
    assert world.cluster.rights == given_rights()
