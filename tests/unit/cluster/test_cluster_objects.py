"""Pure parts of the cluster: kind's configuration, the pod network, KServe's objects, cache keys."""

import json
import ssl
from pathlib import Path

import pytest
import yaml
from squeeze_cluster import addons, certificates, hashing, kind, network, paths
from squeeze_cluster.settings import Settings

BASE = yaml.safe_load((paths.REPO / "kind-config.yaml").read_text())


def test_ports_are_bound_to_loopback_only() -> None:
    config = kind.configuration(BASE, Settings(gateway_port=9999), None)
    mappings = [mapping for node in config["nodes"] for mapping in node.get("extraPortMappings", [])]
    assert [(mapping["listenAddress"], mapping["hostPort"]) for mapping in mappings] == [("127.0.0.1", 9999)]
    assert config["networking"]["apiServerAddress"] == "127.0.0.1"


def test_the_stand_in_reaches_every_node_and_containerd() -> None:
    config = kind.configuration(BASE, Settings(), "/cache/runc-nosysres")
    for node in config["nodes"]:
        assert node["extraMounts"][0]["hostPath"] == "/cache/runc-nosysres"
    assert any("BinaryName" in patch for patch in config["containerdConfigPatches"])
    assert (
        kind.configuration(BASE, Settings(), None)["containerdConfigPatches"]
        == BASE["containerdConfigPatches"]
    )


def test_one_control_plane_two_workers_one_with_gpus() -> None:
    assert [node["role"] for node in BASE["nodes"]] == ["control-plane", "worker", "worker"]
    assert [node.get("labels", {}).get(kind.GPU_LABEL) for node in BASE["nodes"]] == [None, None, "true"]


def test_conflist_names_the_nodes_range() -> None:
    ptp, portmap = json.loads(network.conflist("10.244.2.0/24"))["plugins"]
    assert ptp["ipam"]["ranges"] == [[{"subnet": "10.244.2.0/24"}]]
    assert portmap["type"] == "portmap"


def test_kserve_without_cert_manager() -> None:
    objects = [
        {"apiVersion": "cert-manager.io/v1", "kind": "Certificate"},
        None,
        {"apiVersion": "v1", "kind": "ValidatingWebhookConfiguration", "webhooks": [{"clientConfig": {}}]},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": {
                "template": {"spec": {"containers": [{"name": "manager"}, {"name": "kube-rbac-proxy"}]}}
            },
        },
    ]
    webhook, deployment = addons.without_cert_manager(objects, "Q0E=")
    assert webhook["webhooks"][0]["clientConfig"]["caBundle"] == "Q0E="
    assert deployment["spec"]["template"]["spec"]["containers"] == [{"name": "manager"}]


def test_the_issued_certificate_is_trusted_for_its_names(tmp_path: Path) -> None:
    issued = certificates.issue("webhook.kserve.svc", "localhost")
    for name, data in (("ca", issued.ca), ("crt", issued.certificate), ("key", issued.key)):
        (tmp_path / name).write_bytes(data)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    assert _handshake(server, ssl.create_default_context(cafile=str(tmp_path / "ca")), "webhook.kserve.svc")
    with pytest.raises(ssl.SSLCertVerificationError):
        _handshake(server, ssl.create_default_context(cafile=str(tmp_path / "ca")), "other.svc")


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bool:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname=name)
    right = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        done = 0
        for side in (left, right):
            try:
                side.do_handshake()
                done += 1
            except ssl.SSLWantReadError:
                pass
        if done == 2:
            return True
    return False


def test_keys_do_not_confuse_their_parts(tmp_path: Path) -> None:
    assert hashing.key_of("ab", "c") != hashing.key_of("a", "bc")
    (tmp_path / "a").write_text("1")
    first = hashing.key_of_files(tmp_path, hashing.source_files(tmp_path))
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("2")
    assert hashing.key_of_files(tmp_path, hashing.source_files(tmp_path)) == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert hashing.key_of_files(tmp_path, hashing.source_files(tmp_path)) != first
