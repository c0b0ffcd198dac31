"""Places for weights inside the cluster: a volume with a file in it, and an S3-compatible server."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from e2e.forwarding import port_forward
from e2e.models import NAMESPACE_LABEL
from squeeze_cluster import catalogue, images, kubectl, registry, shell
from squeeze_cluster.settings import CLUSTER_NAME, Settings

_NODE = f"{CLUSTER_NAME}-worker"
_ACCESS, _SECRET = "squeezeserve", "squeezeserve-secret"
_PORT = 7070


def claim_with_file(namespace: str, name: str, file: Path, nodes: Sequence[str] = (_NODE,)) -> None:
    """A read-only PersistentVolumeClaim, bound to a folder of these nodes that holds one file or folder."""
    folder = f"/var/squeezeserve-volumes/{namespace}"
    for node in nodes:
        shell.run("docker", "exec", node, "mkdir", "-p", folder)
        shell.run("docker", "cp", file, f"{node}:{folder}/{file.name}")
        shell.run("docker", "exec", node, "chmod", "-R", "a+rX", folder)
    volume = f"{namespace}-{name}"
    affinity = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(nodes)}
    common: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
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
                    "local": {"path": folder},
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


class ObjectStore:
    """versitygw in a pod: S3 over the pod's own disk."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def install(self, settings: Settings) -> None:
        """Start the server and wait until it is ready."""
        (image,) = catalogue.test_tools()
        images.ensure(image, settings)
        registry.push(image.reference, settings)
        kubectl.apply(_objects(self._namespace, image.reference))
        kubectl.wait_rollout("object-store", self._namespace)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Store an object, making its bucket if needed."""
        with port_forward(self._namespace, "service/object-store", _PORT) as port:
            client = boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{port}",
                aws_access_key_id=_ACCESS,
                aws_secret_access_key=_SECRET,
                region_name="us-east-1",
                config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 2}),
            )
            if bucket not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket=bucket)
            client.put_object(Bucket=bucket, Key=key, Body=data)

    def service_account(self, name: str = "object-store", key: str = _SECRET, host: str = "") -> str:
        """A ServiceAccount whose secret KServe gives to the download, as its documentation has it.

        `key` and `host` (of a Service) are those of this store where they are left out.
        """
        annotations = {
            "serving.kserve.io/s3-endpoint": f"{host or f'object-store.{self._namespace}.svc'}:{_PORT}",
            "serving.kserve.io/s3-usehttps": "0",
            "serving.kserve.io/s3-region": "us-east-1",
            "serving.kserve.io/s3-usevirtualbucket": "false",
        }
        metadata = {"name": name, "namespace": self._namespace}
        keys = {"AWS_ACCESS_KEY_ID": _ACCESS, "AWS_SECRET_ACCESS_KEY": key}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {**metadata, "annotations": annotations}}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        kubectl.apply([{**secret, "stringData": keys}, {**account, "secrets": [{"name": name}]}])
        return name


def _objects(namespace: str, image: str) -> list[kubectl.Object]:
    labels = {"app": "object-store"}
    metadata = {"name": "object-store", "namespace": namespace}
    container = {
        "name": "server",
        "image": image,
        "args": ["--port", f":{_PORT}", "posix", "--nometa", "/data"],
        "env": [{"name": "ROOT_ACCESS_KEY", "value": _ACCESS}, {"name": "ROOT_SECRET_KEY", "value": _SECRET}],
        "ports": [{"containerPort": _PORT}],
        "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "data", "emptyDir": {}}],
    }
    template = {"metadata": {"labels": labels}, "spec": pod}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": labels, "ports": [{"port": _PORT}]},
        },
        # What a team adds whose weights come from a port that the chart does not open.
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": {
                "podSelector": {"matchExpressions": [{"key": "squeezeserve.io/model", "operator": "Exists"}]},
                "policyTypes": ["Egress"],
                "egress": [{"to": [{"podSelector": {"matchLabels": labels}}], "ports": [{"port": _PORT}]}],
            },
        },
    ]
