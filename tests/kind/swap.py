"""The champion moves, and the endpoint follows."""

from __future__ import annotations

from functools import partial

from tests.kind import endpoint
from tests.kind.cluster import MINUTE
from tests.kind.registry import Registry
from tests.kind.shell import StepFailed
from tests.kind.waiting import wait_until


def swap_champions(models: Registry, serving: str) -> tuple[str, str]:
    """Point the champion at what was trained, call the endpoint, point it at another version, see that one answer.

    Returns:
        The two versions that answered.

    Raises:
        StepFailed: if one of them does not, or the same files give other images as another version.
    """
    versions = models.versions()
    if not versions:
        raise StepFailed("The run registered no version.")
    first = versions[-1]
    models.point(first)
    wait_until("the first champion", partial(endpoint.not_serving, serving, first), 3 * MINUTE)
    before = endpoint.infer(serving)
    second = models.registered_again(first)
    models.point(second)
    wait_until("the next champion", partial(endpoint.not_serving, serving, second), 3 * MINUTE)
    if not (endpoint.infer(serving) == before).all():
        raise StepFailed("The same files gave other images after the swap.")
    return first, second
