"""Places for weights inside the cluster: a volume with a file in it, and an S3-compatible server."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from e2e.forwarding import port_forward
from e2e.models import NAMESPACE_LABEL
from squeeze_cluster import kubectl, shell
from squeeze_cluster.settings import CLUSTER_NAME, Settings
from squeeze_cluster.training import OBJECT_STORE, install_object_store

NODES = (f"{CLUSTER_NAME}-worker", f"{CLUSTER_NAME}-worker2")
_PORT = 7070


def claim_with_file(namespace: str, name: str, file: Path, nodes: Sequence[str] = NODES[:1]) -> None:
    """A PersistentVolumeClaim, bound to a folder of these nodes that holds one file or folder."""
    claim(namespace, name, nodes)
    folder = _folder(namespace)
    for node in nodes:
        shell.run("docker", "cp", file, f"{node}:{folder}/{file.name}")
        shell.run("docker", "exec", node, "chmod", "-R", "a+rX", folder)


def claim(namespace: str, name: str, nodes: Sequence[str] = NODES[:1], mode: str = "ReadWriteOnce") -> None:
    """A PersistentVolumeClaim, bound to a folder of each of these nodes, which are not kept equal."""
    for node in nodes:
        shell.run("docker", "exec", node, "mkdir", "-p", _folder(namespace))
    volume = f"{namespace}-{name}"
    affinity = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(nodes)}
    common: dict[str, Any] = {"accessModes": [mode], "storageClassName": ""}
    kubectl.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": volume, "labels": {NAMESPACE_LABEL: namespace}},
                "spec": {
                    **common,
                    "capacity": {"storage": "100Mi"},
                    "persistentVolumeReclaimPolicy": "Delete",
                    "local": {"path": _folder(namespace)},
                    "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [affinity]}]}},
                },
            },
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {**common, "volumeName": volume, "resources": {"requests": {"storage": "100Mi"}}},
            },
        ]
    )


def _folder(namespace: str) -> str:
    return f"/var/squeezeserve-volumes/{namespace}"


class ObjectStore:
    """The development cluster's object store, in a namespace of the test's own."""

    service_account = OBJECT_STORE
    """Its secret opens the store to KServe's downloads."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def install(self, settings: Settings) -> None:
        """Start the server and wait until it is ready."""
        install_object_store(settings, self._namespace)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Store an object."""
        secret = self._secret()["data"]
        keys = {name: base64.b64decode(value).decode() for name, value in secret.items()}
        with port_forward(self._namespace, f"service/{OBJECT_STORE}", _PORT) as port:
            client = boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{port}",
                aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
                region_name=keys["AWS_REGION"],
                config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
            )
            client.put_object(Bucket=bucket, Key=key, Body=data)

    def wrong_account(self, name: str, key: str, host: str = OBJECT_STORE) -> str:
        """A ServiceAccount whose secret does not open the store: a wrong key, or a host where it is not."""
        right = self._secret()["metadata"]["annotations"]
        annotations = {note: text for note, text in right.items() if note.startswith("serving.kserve.io/")}
        annotations["serving.kserve.io/s3-endpoint"] = f"{host}:{_PORT}"
        metadata = {"name": name, "namespace": self._namespace}
        keys = {"AWS_ACCESS_KEY_ID": "squeezeserve", "AWS_SECRET_ACCESS_KEY": key}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {**metadata, "annotations": annotations}}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        kubectl.apply([{**secret, "stringData": keys}, {**account, "secrets": [{"name": name}]}])
        return name

    def _secret(self) -> kubectl.Object:
        return kubectl.get("secret", OBJECT_STORE, self._namespace)
