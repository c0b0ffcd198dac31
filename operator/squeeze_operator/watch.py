"""kopf's part: watches that put keys into the queue, and settings that keep kopf from writing anything.

The handlers are coroutines, because kopf runs plain functions in threads and the queue belongs to the event
loop. There are only `on.event` handlers, so kopf adds no finalizer and no annotation. An annotation on an
InferenceService would travel into the pod template and roll every pod.
"""

import datetime
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import kopf
from kubernetes.client import Configuration

from squeeze_operator import metrics, names
from squeeze_operator.api import bearer
from squeeze_operator.audit import WatchAudit
from squeeze_operator.names import Key, Resource

OWNED = (names.INFERENCE_SERVICES, names.DISRUPTION_BUDGETS, names.DEPLOYMENTS, names.PODS)
_LOGIN_SECONDS = 300
"""A ServiceAccount's token is read again this often; the kubelet renews it long before it expires."""


def settings() -> kopf.OperatorSettings:
    """Watches that cannot stall for long, and no writes of kopf's own."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.persistence.progress_storage = kopf.MultiProgressStorage([])
    chosen.persistence.diffbase_storage = kopf.MultiDiffBaseStorage([])
    chosen.watching.server_timeout = 240
    chosen.watching.client_timeout = 300
    chosen.watching.connect_timeout = 10
    chosen.watching.inactivity_timeout = 90
    chosen.networking.request_timeout = 30
    chosen.networking.trust_env = False
    # Without this the memory of the operator would grow with every pod of the cluster.
    for resource in OWNED:
        chosen.watching.label_selectors[_selector(resource)] = names.MODEL_LABEL
    return chosen


def registry(
    configuration: Configuration, audit: WatchAudit, enqueue: Callable[[Key], None]
) -> kopf.OperatorRegistry:
    """The handlers: each only notes the event and enqueues the owner's key."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connection(configuration)

    async def on_model(event: Mapping[str, Any], **_: Any) -> None:
        metadata = event["object"]["metadata"]
        _count(names.MODELS)
        gone = event.get("type") == "DELETED"
        audit.delivered(str(metadata["uid"]), str(metadata["resourceVersion"]), gone)
        enqueue(Key(str(metadata["namespace"]), str(metadata["name"])))

    kopf.on.event(_selector(names.MODELS), registry=handlers, id="models")(on_model)
    for resource in OWNED:
        kopf.on.event(_selector(resource), registry=handlers, id=resource.plural)(
            _on_child(resource, enqueue)
        )
    return handlers


def connection(configuration: Configuration) -> kopf.ConnectionInfo:
    """The official client's configuration in kopf's form."""
    scheme, _, token = (bearer(configuration) or "").partition(" ")
    return kopf.ConnectionInfo(
        server=str(configuration.host),
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        scheme=scheme if token else None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        trust_env=False,
        expiration=datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=_LOGIN_SECONDS),
    )


def quiet_logs() -> None:
    """kopf logs each event of each pod; what matters is logged by the reconciles."""
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)


def _on_child(resource: Resource, enqueue: Callable[[Key], None]) -> Callable[..., Awaitable[None]]:
    async def on_child(event: Mapping[str, Any], **_: Any) -> None:
        metadata = event["object"]["metadata"]
        _count(resource)
        model = (metadata.get("labels") or {}).get(names.MODEL_LABEL)
        if model:
            enqueue(Key(str(metadata["namespace"]), str(model)))

    return on_child


def _count(resource: Resource) -> None:
    metrics.WATCH_EVENTS.labels(resource.kind).inc()
    metrics.LAST_WATCH_EVENT.labels(resource.kind).set_to_current_time()


def _selector(resource: Resource) -> Any:
    return (resource.group, resource.version, resource.plural)
