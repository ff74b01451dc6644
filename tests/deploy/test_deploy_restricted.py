"""No pod of ours breaks the profile `restricted`, nor the stricter rules of this house; each rule finds its breach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.pod_security import RULES, violations
from tests.deploy.pods import PodTemplate, pod_templates
from tests.deploy.rendered import OVERLAYS, one, overlay

Change = Callable[[dict[str, Any]], object]


def _context(spec: dict[str, Any]) -> dict[str, Any]:
    context: dict[str, Any] = spec["containers"][0]["securityContext"]
    return context


def _host_probe(spec: dict[str, Any]) -> None:
    spec["containers"][0]["livenessProbe"]["httpGet"]["host"] = "10.0.0.1"


BREACHES: dict[str, Change] = {
    "HostProcess": lambda spec: _context(spec).update(windowsOptions={"hostProcess": True}),
    "Host namespaces": lambda spec: spec.update(hostNetwork=True),
    "Privileged containers": lambda spec: _context(spec).update(privileged=True),
    "Host ports": lambda spec: spec["containers"][0]["ports"][0].update(hostPort=8000),
    "Host probes": _host_probe,
    "AppArmor": lambda spec: spec["securityContext"].update(appArmorProfile={"type": "Unconfined"}),
    "SELinux": lambda spec: _context(spec).update(seLinuxOptions={"type": "spc_t"}),
    "/proc mount type": lambda spec: _context(spec).update(procMount="Unmasked"),
    "Sysctls": lambda spec: spec["securityContext"].update(sysctls=[{"name": "kernel.msgmax", "value": "1"}]),
    "Volume types": lambda spec: spec["volumes"].append({"name": "host", "hostPath": {"path": "/"}}),
    "Privilege escalation": lambda spec: _context(spec).pop("allowPrivilegeEscalation"),
    "Running as non-root": lambda spec: spec["securityContext"].pop("runAsNonRoot"),
    "Running as non-root user": lambda spec: _context(spec).update(runAsUser=0),
    "Seccomp": lambda spec: _context(spec).update(seccompProfile={"type": "Unconfined"}),
    "Capabilities": lambda spec: _context(spec).update(capabilities={"drop": ["NET_RAW"]}),
}


def _breaches_of_the_house(pod: PodTemplate) -> list[str]:
    found = []
    if pod.spec.get("automountServiceAccountToken") is not False:
        found.append("a token of the API that no pod of ours uses")
    if pod.spec.get("enableServiceLinks") is not False:
        found.append("service links: variables such as MLFLOW_PORT that are read as settings")
    for container in pod.containers:
        name = container["name"]
        if container["securityContext"].get("readOnlyRootFilesystem") is not True:
            found.append(f"{name}: a root file system that can be written")
        for kind in ("requests", "limits"):
            if not {"cpu", "memory"} <= container.get("resources", {}).get(kind, {}).keys():
                found.append(f"{name}: {kind} without cpu and memory")
        if container.get("imagePullPolicy") != "IfNotPresent":
            found.append(f"{name}: pulls an image again that is named by digest")
        mounts = {mount["name"] for mount in container.get("volumeMounts", [])}
        if missing := mounts - {volume["name"] for volume in pod.spec.get("volumes", [])} - {"data"}:
            found.append(f"{name}: mounts {missing}, which is no volume")
    for volume in pod.spec.get("volumes", []):
        if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
            found.append(f"{volume['name']}: may fill the node's disk")
    return [f"{pod.where}: {breach}" for breach in found]


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_pod_breaks_the_restricted_profile(name: str) -> None:
    pods = pod_templates(overlay(name))
    assert len(pods) >= 4
    assert [breach for pod in pods for breach in violations(pod)] == []


@pytest.mark.parametrize("name", OVERLAYS)
def test_no_pod_breaks_the_rules_of_the_house(name: str) -> None:
    assert [breach for pod in pod_templates(overlay(name)) for breach in _breaches_of_the_house(pod)] == []


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_cluster_itself_holds_the_profile_in_our_namespaces(name: str) -> None:
    for document in overlay(name):
        if document["kind"] == "Namespace":
            labels = document["metadata"]["labels"]
            assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {
                "restricted"
            }


def test_every_rule_has_a_breach_to_find() -> None:
    assert BREACHES.keys() == RULES.keys()


@pytest.mark.parametrize("rule", BREACHES)
def test_a_breach_of_one_rule_is_found_and_no_other(rule: str) -> None:
    (pod,) = pod_templates([one(overlay("production"), "Deployment", "ganvas-serving")])
    assert violations(pod) == []
    BREACHES[rule](pod.spec)
    assert {breach.partition(": ")[0] for breach in violations(pod)} == {rule}


def test_a_breach_in_an_init_container_is_found() -> None:
    (pod,) = pod_templates([one(overlay("kind"), "StatefulSet", "s3")])
    pod.spec["initContainers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    assert violations(pod) == ["Privilege escalation: StatefulSet s3 keys"]


@pytest.mark.parametrize(
    "change",
    [
        lambda spec: spec.pop("automountServiceAccountToken"),
        lambda spec: spec.pop("enableServiceLinks"),
        lambda spec: _context(spec).pop("readOnlyRootFilesystem"),
        lambda spec: spec["containers"][0]["resources"]["limits"].pop("memory"),
        lambda spec: spec["containers"][0].pop("imagePullPolicy"),
        lambda spec: spec["volumes"].clear(),
        lambda spec: spec["volumes"][0]["emptyDir"].pop("sizeLimit"),
    ],
)
def test_a_breach_of_a_rule_of_the_house_is_found(change: Change) -> None:
    (pod,) = pod_templates([one(overlay("production"), "Deployment", "ganvas-serving")])
    assert _breaches_of_the_house(pod) == []
    change(pod.spec)
    assert len(_breaches_of_the_house(pod)) == 1
