"""Plays KServe's pod webhook: where the weights of a pod come from is mounted or fetched, and overwritten.

The shapes follow KServe v0.20 (pkg/webhook/admission/pod, CommonStorageInitialization).
"""

import copy
from typing import Any

MOUNT = "/mnt/models"
Json = dict[str, Any]


def inject(pod: Json) -> Json:
    """A pod's spec as the webhook hands it on; one without STORAGE_URI is left alone."""
    injected = copy.deepcopy(pod)
    container = injected["containers"][0]
    for variable in container.get("env", []):
        if variable["name"] == "STORAGE_URI":
            _mount(injected, container, variable["value"])
            variable["value"] = MOUNT
    return injected


def _mount(pod: Json, container: Json, uri: str) -> None:
    scheme, _, rest = uri.partition("://")
    if scheme == "pvc":
        claim, _, path = rest.partition("/")
        source: Json = {"name": "kserve-pvc-source", "persistentVolumeClaim": {"claimName": claim}}
        below = {"subPath": path} if path else {}
    else:
        source, below = {"name": "kserve-provision-location", "emptyDir": {}}, {}
        initializer = {"name": "storage-initializer", "image": "i:1", "args": [uri, MOUNT]}
        pod.setdefault("initContainers", []).append(initializer)
    mount = {"name": source["name"], "mountPath": MOUNT, "readOnly": True, **below}
    container.setdefault("volumeMounts", []).append(mount)
    pod.setdefault("volumes", []).append(source)
