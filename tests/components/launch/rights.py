"""What a request needs a right to, and what the committed role gives, as Kubernetes' RBAC has it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

Right = tuple[str, str, str]
"""API group, resource, verb."""

ROLE = Path(__file__).resolve().parents[3] / "deploy" / "base" / "training" / "role.yaml"
_VERBS = {"POST": "create", "DELETE": "delete", "GET": "get"}


def right_to(method: str, path: str, *, watch: bool) -> Right:
    """The right that a request needs.

    Args:
        method: of HTTP.
        path: such as ``/apis/GROUP/VERSION/namespaces/NAME/RESOURCE/OBJECT`` or ``/api/v1/namespaces/...``.
        watch: whether it asks for the changes.
    """
    before, _, after = path.partition("/namespaces/")
    group = before.split("/")[2] if before.startswith("/apis/") else ""
    _, resource, *rest = after.split("/")
    if len(rest) == 2:  # /pods/NAME/log
        resource = f"{resource}/{rest[1]}"
    verb = _VERBS[method]
    if verb == "get" and not rest:
        verb = "watch" if watch else "list"
    return group, resource, verb


@cache
def given_rights() -> frozenset[Right]:
    """Those of the committed role."""
    rules = yaml.safe_load(ROLE.read_text())["rules"]
    return frozenset(
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    )
