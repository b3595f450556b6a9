"""Rules of the NetworkPolicies: the permitted pairs of pods are exactly those in FLOWS."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from tests.deploy.kubernetes.pods import of_kind, selects, workloads
from tests.deploy.kubernetes.rendering import Object

#: Client, server, port: everything that pods of one namespace may do.
FLOWS = {
    ("envoy", "api", 50051),
    ("envoy", "api", 50052),
    ("worker", "edge", 8081),
    ("edge", "shield", 8082),
    *((client, "database", 5432) for client in ("api", "worker", "fetcher", "migrate")),
    *((client, "valkey", port) for client in ("api", "worker", "fetcher") for port in (6379, 26379)),
    *((client, "seaweedfs", 9000) for client in ("api", "worker", "fetcher", "edge", "store-setup")),
}
#: The only workload that reaches addresses which are not named.
INTERNET = "fetcher"
#: One address of each network that is not the internet; the first of IPv4 is the metadata service of clouds.
_INSIDE = """169.254.169.254 10.0.0.1 172.16.0.1 192.168.0.1 100.64.0.1 127.0.0.1 224.0.0.1 0.0.0.1
::1 fe80::1 fd00::1 ff02::1 ::ffff:10.0.0.1 64:ff9b::a00:1 2002:a00:1::1"""


@dataclass(frozen=True)
class Peer:
    """What policies see of a workload."""

    name: str
    labels: dict[str, str]
    ports: dict[str, int]


def peers(objects: list[Object]) -> list[Peer]:
    """Returns the workloads, and the databases that an operator runs."""
    found = [Peer(each.name, each.labels, each.ports) for each in workloads(objects)]
    for name, _ in of_kind(objects, "Cluster"):
        found.append(Peer(name, {"cnpg.io/cluster": name}, {"postgresql": 5432}))
    return found


def networks(objects: list[Object]) -> Iterator[str]:
    policies = [spec for _, spec in of_kind(objects, "NetworkPolicy")]
    everybody = peers(objects)
    for name, spec in of_kind(objects, "NetworkPolicy"):
        if not any(selects(spec["podSelector"], each.labels) for each in everybody):
            yield f"NetworkPolicy {name}: selects no pod"
    for each in workloads(objects):
        for kind in ("Ingress", "Egress"):
            chosen = [spec for spec in policies if selects(spec["podSelector"], each.labels)]
            if not any(kind in spec["policyTypes"] and kind.lower() not in spec for spec in chosen):
                yield f"{each.name}: no policy denies {kind.lower()}"
    yield from _flows(policies, everybody)
    for peer in everybody:
        if "cnpg.io/cluster" not in peer.labels:  # its operator decides its connections
            yield from _internet(policies, peer)


def _flows(policies: list[Object], everybody: list[Peer]) -> Iterator[str]:
    for client in everybody:
        for server in everybody:
            for port in server.ports.values():
                if client.name == server.name or "cnpg.io/cluster" in client.labels:
                    continue
                is_open = _allows(policies, "egress", client, server, port) and _allows(
                    policies, "ingress", server, client, port
                )
                is_meant = (client.name, server.name, port) in FLOWS
                if is_open != is_meant:
                    yield f"{client.name} {'may' if is_open else 'cannot'} reach {server.name}:{port}"


def _allows(policies: list[Object], direction: str, subject: Peer, other: Peer, port: int) -> bool:
    served = other if direction == "egress" else subject
    side = "to" if direction == "egress" else "from"
    return any(
        _names(rule.get(side), other) and _serves(rule.get("ports"), served, port)
        for spec in policies
        if selects(spec["podSelector"], subject.labels)
        for rule in spec.get(direction, [])
    )


def _names(found: list[Object] | None, other: Peer) -> bool:
    """Returns whether a list of peers has a pod of this namespace. An absent list has everybody."""
    return found is None or any(
        "namespaceSelector" not in peer
        and "podSelector" in peer
        and selects(peer["podSelector"], other.labels)
        for peer in found
    )


def _serves(ports: list[Object] | None, served: Peer, port: int) -> bool:
    return ports is None or any(served.ports.get(str(each["port"]), each["port"]) == port for each in ports)


def _internet(policies: list[Object], peer: Peer) -> Iterator[str]:
    reaches = False
    for spec in policies:
        if not selects(spec["podSelector"], peer.labels):
            continue
        for rule in spec.get("egress", []):
            if "to" not in rule:
                yield f"{peer.name}: egress to everywhere"
            blocks = [each["ipBlock"] for each in rule.get("to", []) if "ipBlock" in each]
            wide = [block for block in blocks if ipaddress.ip_network(block["cidr"]).prefixlen < 8]
            reaches = reaches or bool(wide)
            if wide and peer.name != INTERNET:
                yield f"{peer.name}: may reach the internet"
            for address in _INSIDE.split():
                if any(_contains(block, address) for block in wide):
                    yield f"{peer.name}: may reach {address}"
    if peer.name == INTERNET and not reaches:
        yield f"{peer.name}: cannot reach the internet"


def _contains(block: Object, address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return parsed in ipaddress.ip_network(block["cidr"]) and not any(
        parsed in ipaddress.ip_network(excepted) for excepted in block.get("except", [])
    )
