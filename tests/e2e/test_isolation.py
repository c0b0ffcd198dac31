"""Nothing on the nodes reaches off the machine."""

import pytest
from squeeze_cluster import kind, network, shell

# A documentation address (RFC 5737): a packet for it can only leave by the default route.
OUTSIDE = "192.0.2.1"


@pytest.mark.parametrize(
    "node", ["squeezeserve-control-plane", "squeezeserve-worker", "squeezeserve-worker2"]
)
def test_a_node_is_rejected_at_once(node: str) -> None:
    assert node in kind.nodes()
    # The kernel tells one node of so many rejections a second, and of no more: the connection is tried again.
    probe = f"curl --silent --show-error --max-time 30 http://{OUTSIDE}/ 2>&1; echo exit=$?"
    told = shell.run("docker", "exec", node, "sh", "-c", probe)
    # 7: refused at once by the host's rule; 28, a time-out, would mean that the packet was sent.
    assert "exit=7" in told, told


def test_the_rule_counts_what_it_rejects() -> None:
    rules = shell.run("iptables", "-L", "DOCKER-USER", "-v", "-n", "-x")
    rule = next(line for line in rules.splitlines() if network.bridge() in line and "REJECT" in line)
    assert int(rule.split()[0]) > 0


def test_every_published_port_is_on_loopback() -> None:
    for name in [*kind.nodes(), "squeezeserve-registry"]:
        ports = shell.run("docker", "port", name)
        assert all(" 127.0.0.1:" in line for line in ports.splitlines()), ports
