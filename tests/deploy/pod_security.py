"""The Pod Security Standards' profile `restricted`, as Kubernetes' documentation states it (v1.36), rule by rule.

https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.deploy.pods import PodTemplate

Rule = Callable[[PodTemplate], Iterator[str]]

_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
}
_SELINUX_TYPES = {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}


def violations(pod: PodTemplate) -> list[str]:
    """What the profile forbids a pod: ``RULE: where``; empty if it may run."""
    return [f"{name}: {pod.where} {found}".rstrip() for name, rule in RULES.items() for found in rule(pod)]


def _contexts(pod: PodTemplate) -> Iterator[tuple[str, dict[str, Any]]]:
    """Security contexts, of the pod itself under the empty name."""
    yield "", pod.spec.get("securityContext", {})
    for container in _all_containers(pod):
        yield container["name"], container.get("securityContext", {})


def _all_containers(pod: PodTemplate) -> list[dict[str, Any]]:
    return [*pod.containers, *pod.spec.get("ephemeralContainers", [])]


def _effective(pod: PodTemplate, field: str) -> Iterator[tuple[str, Any]]:
    """A field of each container, its own before the pod's."""
    inherited = pod.spec.get("securityContext", {}).get(field)
    for container in _all_containers(pod):
        own = container.get("securityContext", {}).get(field)
        yield container["name"], inherited if own is None else own


def _host_process(pod: PodTemplate) -> Iterator[str]:
    return (name for name, context in _contexts(pod) if context.get("windowsOptions", {}).get("hostProcess"))


def _host_namespaces(pod: PodTemplate) -> Iterator[str]:
    return (field for field in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(field))


def _privileged(pod: PodTemplate) -> Iterator[str]:
    return (name for name, context in _contexts(pod) if context.get("privileged"))


def _host_ports(pod: PodTemplate) -> Iterator[str]:
    return (
        container["name"]
        for container in _all_containers(pod)
        for port in container.get("ports", [])
        if port.get("hostPort")
    )


def _host_probes(pod: PodTemplate) -> Iterator[str]:
    for container in _all_containers(pod):
        handlers = [container.get(f"{kind}Probe", {}) for kind in ("startup", "liveness", "readiness")]
        handlers += list(container.get("lifecycle", {}).values())
        for handler in handlers:
            if any(handler.get(kind, {}).get("host") for kind in ("httpGet", "tcpSocket")):
                yield container["name"]


def _app_armor(pod: PodTemplate) -> Iterator[str]:
    return (name for name, context in _contexts(pod) if context.get("appArmorProfile", {}).get("type") == "Unconfined")


def _selinux(pod: PodTemplate) -> Iterator[str]:
    for name, context in _contexts(pod):
        options = context.get("seLinuxOptions", {})
        if options.get("type", "") not in _SELINUX_TYPES or options.get("user") or options.get("role"):
            yield name


def _proc_mount(pod: PodTemplate) -> Iterator[str]:
    return (name for name, context in _contexts(pod) if context.get("procMount", "Default") != "Default")


def _sysctls(pod: PodTemplate) -> Iterator[str]:
    sysctls = pod.spec.get("securityContext", {}).get("sysctls", [])
    return (sysctl["name"] for sysctl in sysctls if sysctl["name"] not in _SYSCTLS)


def _volume_types(pod: PodTemplate) -> Iterator[str]:
    return (volume["name"] for volume in pod.spec.get("volumes", []) if not _VOLUMES & volume.keys())


def _privilege_escalation(pod: PodTemplate) -> Iterator[str]:
    for container in _all_containers(pod):
        if container.get("securityContext", {}).get("allowPrivilegeEscalation") is not False:
            yield container["name"]


def _run_as_non_root(pod: PodTemplate) -> Iterator[str]:
    return (name for name, value in _effective(pod, "runAsNonRoot") if value is not True)


def _run_as_user(pod: PodTemplate) -> Iterator[str]:
    return (name for name, context in _contexts(pod) if context.get("runAsUser") == 0)


def _seccomp(pod: PodTemplate) -> Iterator[str]:
    for name, profile in _effective(pod, "seccompProfile"):
        if (profile or {}).get("type") not in {"RuntimeDefault", "Localhost"}:
            yield name


def _capabilities(pod: PodTemplate) -> Iterator[str]:
    for container in _all_containers(pod):
        capabilities = container.get("securityContext", {}).get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []) or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield container["name"]


RULES: dict[str, Rule] = {
    "HostProcess": _host_process,
    "Host namespaces": _host_namespaces,
    "Privileged containers": _privileged,
    "Host ports": _host_ports,
    "Host probes": _host_probes,
    "AppArmor": _app_armor,
    "SELinux": _selinux,
    "/proc mount type": _proc_mount,
    "Sysctls": _sysctls,
    "Volume types": _volume_types,
    "Privilege escalation": _privilege_escalation,
    "Running as non-root": _run_as_non_root,
    "Running as non-root user": _run_as_user,
    "Seccomp": _seccomp,
    "Capabilities": _capabilities,
}
"""By the names of the standard."""
