"""Credentials of a weights store: by reference only, and told nowhere, also where the download fails."""

import base64

from e2e.models import Namespace, wait_for
from e2e.storage import ObjectStore
from squeeze_cluster import kubectl
from squeeze_cluster.settings import SYSTEM_NAMESPACE

WRONG_KEY = "hunter2-is-not-the-key-of-this-store"
KINDS = (
    "pods,replicasets,deployments,services,events,networkpolicies,serviceaccounts,configmaps,"
    "squeezemodels,inferenceservices,horizontalpodautoscalers,poddisruptionbudgets"
)


def test_failed_downloads_tell_their_cause_and_no_credentials(namespace: Namespace) -> None:
    store = ObjectStore(namespace.name)
    store.install(namespace.settings)
    store.put("models", "digits/model.safetensors", b"weights")
    accounts = {
        "refused": store.wrong_account("wrong-key", WRONG_KEY),
        "unreachable": store.wrong_account("wrong-host", WRONG_KEY, f"nowhere.{namespace.name}.svc"),
    }
    for name, account in accounts.items():
        spec = {"weights": {"uri": "s3://models/digits"}, "placement": {"serviceAccountName": account}}
        namespace.apply_model(name, {**spec, "scaling": {"minReplicas": 1, "maxReplicas": 1}})
    messages = {
        name: namespace.wait_condition(name, "Stalled", "True", "WeightsDownloadFailed") for name in accounts
    }
    assert all("s3://models/digits" in message for message in messages.values())
    assert "nowhere" in messages["unreachable"] or "connect" in messages["unreachable"].lower()

    told = ""

    def all_tell() -> bool:
        nonlocal told
        texts = everything_told(namespace)
        told = "\n".join(texts)
        # A container that has just started again has said nothing yet.
        return all(text.strip() for text in texts)

    wait_for(all_tell, 60, lambda: told)
    assert "WeightsDownloadFailed" in told
    for secret in (WRONG_KEY, base64.b64encode(WRONG_KEY.encode()).decode()):
        assert secret not in told


def everything_told(namespace: Namespace) -> list[str]:
    """All objects but Secrets, all logs of the namespace, and the operator's."""
    told = [kubectl.kubectl("get", KINDS, "-n", namespace.name, "-o", "yaml")]
    for name in ("refused", "unreachable"):
        for pod in namespace.pods(name):
            logs = ("logs", pod["metadata"]["name"], "-n", namespace.name, "-c", "storage-initializer")
            told.append(kubectl.kubectl(*logs))
    told.append(kubectl.kubectl("logs", "deployment/squeezeserve-operator", "-n", SYSTEM_NAMESPACE))
    return told
