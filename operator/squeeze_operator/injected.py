"""Undoes what KServe's webhook does to a pod's weights, so that the pod compares with the spec it came from.

The webhook mounts a `pvc://` claim, or adds an init container that fetches any other URI, and then overwrites
`STORAGE_URI` with the path of the mount. Source: KServe, pkg/webhook/admission/pod.
"""

from collections.abc import Mapping
from typing import Any

from squeeze_operator import names

Json = Mapping[str, Any]


def as_asked(pod: Json) -> Json:
    """A pod's spec with the URI of its weights where it stood before, without a slash at its end."""
    injected = _uri(pod)
    first, *others = pod["containers"]
    env = [
        {**variable, "value": (injected or str(variable.get("value"))).rstrip("/")}
        if variable.get("name") == names.STORAGE_URI
        else variable
        for variable in first.get("env") or []
    ]
    return {**pod, "containers": [{**first, "env": env}, *others]}


def _uri(pod: Json) -> str | None:
    """Where the weights come from; None in a pod that the webhook gave none."""
    for container in pod.get("initContainers") or []:
        if container.get("name") == names.STORAGE_INITIALIZER and container.get("args"):
            return str(container["args"][0])
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in pod.get("volumes") or []
        if volume.get("persistentVolumeClaim")
    }
    for mount in pod["containers"][0].get("volumeMounts") or []:
        if mount.get("mountPath") == names.MODEL_MOUNT and mount.get("name") in claims:
            return f"pvc://{claims[mount['name']]}/{mount.get('subPath') or ''}"
    return None
