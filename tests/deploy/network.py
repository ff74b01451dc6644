"""What NetworkPolicies let through, by the rules of networking.k8s.io/v1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

from tests.deploy.rendered import Document


@dataclass(frozen=True)
class Peer:
    """A pod, or with an empty namespace an address that is no pod's."""

    namespace: str
    labels: dict[str, str] = field(default_factory=dict)
    address: str = "198.51.100.7"


class Policies:
    """The policies of some documents, and the labels of their namespaces."""

    def __init__(self, documents: list[Document]) -> None:
        self._policies = [document for document in documents if document["kind"] == "NetworkPolicy"]
        made = {
            document["metadata"]["name"]: document["metadata"].get("labels", {})
            for document in documents
            if document["kind"] == "Namespace"
        }
        self.namespaces: dict[str, dict[str, str]] = {"kube-system": {}, "kubeflow": {}, **made}

    def let_through(self, source: Peer, destination: Peer, port: int, protocol: str = "TCP") -> bool:
        """Whether one reaches the other: it may go out of where it is, and into where it goes."""
        goes_out = self._direction("Egress", source, destination, port, protocol)
        return goes_out and self._direction("Ingress", destination, source, port, protocol)

    def _direction(self, direction: str, of: Peer, other: Peer, port: int, protocol: str) -> bool:
        policies = [policy["spec"] for policy in self._policies if self._selects(policy, of)]
        policies = [spec for spec in policies if direction in spec["policyTypes"]]
        if not policies:
            return True  # nobody isolates it
        return any(
            self._rule_matches(rule, "to" if direction == "Egress" else "from", of, other, port, protocol)
            for spec in policies
            for rule in spec.get(direction.lower(), [])
        )

    def _selects(self, policy: Document, pod: Peer) -> bool:
        same = bool(pod.namespace) and policy["metadata"]["namespace"] == pod.namespace
        return same and _matches(policy["spec"]["podSelector"], pod.labels)

    def _rule_matches(self, rule: dict[str, Any], side: str, of: Peer, other: Peer, port: int, protocol: str) -> bool:
        ports = rule.get("ports")
        if ports is not None and not any(
            allowed["port"] == port and allowed.get("protocol", "TCP") == protocol for allowed in ports
        ):
            return False
        peers = rule.get(side)
        return peers is None or any(self._peer_matches(peer, of, other) for peer in peers)

    def _peer_matches(self, peer: dict[str, Any], of: Peer, other: Peer) -> bool:
        if "ipBlock" in peer:
            # Blocks are for addresses outside: what a plugin makes of a pod's own address differs.
            block = ip_network(peer["ipBlock"]["cidr"])
            return not other.namespace and ip_address(other.address) in block
        if not other.namespace:
            return False
        if "namespaceSelector" in peer:
            labels = {"kubernetes.io/metadata.name": other.namespace, **self.namespaces.get(other.namespace, {})}
            in_namespace = _matches(peer["namespaceSelector"], labels)
        else:
            in_namespace = other.namespace == of.namespace
        return in_namespace and _matches(peer.get("podSelector", {}), other.labels)


def _matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    return all(_requirements(selector, labels))


def _requirements(selector: dict[str, Any], labels: dict[str, str]) -> Iterator[bool]:
    yield selector.get("matchLabels", {}).items() <= labels.items()
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In"
        yield labels.get(expression["key"]) in expression["values"]
