"""Names that the API, KServe and the operator agree on. No logic beyond building a name from a name."""

from collections.abc import Mapping
from typing import Any, NamedTuple

GROUP = "squeezeserve.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "SqueezeModel"
TRAINING_KIND = "SqueezeTraining"

FIELD_MANAGER = "squeeze-operator"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
PART_OF_LABEL = "app.kubernetes.io/part-of"
PART_OF = "squeezeserve"
MODEL_LABEL = f"{GROUP}/model"
"""On every child; KServe passes it on to the Deployment and its pods."""
ACTIVATOR_LABEL = f"{GROUP}/activator"
"""On the activator's Service, whose EndpointSlices inherit it, and on those by which it stands in."""
SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""By which an EndpointSlice belongs to a Service."""
SLICE_MANAGER_LABEL = "endpointslice.kubernetes.io/managed-by"
TRAINING_LABEL = f"{GROUP}/training"
"""On all that is made for a training, and on its workers."""

DEPLOYMENT_MODE = "serving.kserve.io/deploymentMode"
AUTOSCALER_CLASS = "serving.kserve.io/autoscalerClass"

CONTAINER = "kserve-container"
"""The name by which KServe finds the predictor's container; it must be the first one."""
STORAGE_INITIALIZER = "storage-initializer"
MODEL_MOUNT = "/mnt/models"
STORAGE_URI = "STORAGE_URI"
"""The environment variable by which KServe's webhook knows where a pod's weights come from."""
HTTP_PORT = 8080
GRPC_PORT = 8081
HTTP_PORT_NAME = "http1"
"""Of the predictor's container and of KServe's Service, which takes it over."""
ACTIVATOR_PORT = 8080
ACTIVATOR_REPORT_PORT = 9090
"""Where the activator tells KEDA how many requests it holds for a model."""
MAX_LABEL = 63
"""Longest DNS label, RFC 1035 section 2.3.4."""


class Key(NamedTuple):
    """What the queue holds: which SqueezeModel or SqueezeTraining to look at."""

    namespace: str
    name: str
    kind: str = KIND

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class Resource(NamedTuple):
    """A kind as the API server's paths name it."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """The apiVersion of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


MODELS = Resource(GROUP, VERSION, "squeezemodels", KIND)
TRAININGS = Resource(GROUP, VERSION, "squeezetrainings", TRAINING_KIND)
INFERENCE_SERVICES = Resource("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
JOBS = Resource("batch", "v1", "jobs", "Job")
SERVICES = Resource("", "v1", "services", "Service")
PODS = Resource("", "v1", "pods", "Pod")
CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
EVENTS = Resource("", "v1", "events", "Event")
DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
SCALED_OBJECTS = Resource("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice")

CHILDREN = {
    resource.kind: resource
    for resource in (INFERENCE_SERVICES, DISRUPTION_BUDGETS, AUTOSCALERS, SCALED_OBJECTS, NETWORK_POLICIES)
}
"""The kinds that the operator writes for a model; EndpointSlices too where there is an activator."""
TRAINING_CHILDREN = {resource.kind: resource for resource in (JOBS, SERVICES, NETWORK_POLICIES)}
"""The kinds that the operator writes for a training."""
WRITTEN = CHILDREN | TRAINING_CHILDREN | {ENDPOINT_SLICES.kind: ENDPOINT_SLICES}
OPTIONAL = (INFERENCE_SERVICES, SCALED_OBJECTS, TRAININGS)
"""Kinds whose CRDs may be installed later or removed."""
UNWATCHED = (SERVICES, CLAIMS)
"""Kinds of which the operator may read single objects only, not all of the cluster's."""


def child_name(resource: Resource, model: str) -> str:
    """The name of a model's child of this kind."""
    if resource is ENDPOINT_SLICES:
        return f"{predictor_name(model)}-activator"
    # KServe takes an autoscaler named <model>-predictor for its own and overwrites it.
    of_predictor = (DISRUPTION_BUDGETS, NETWORK_POLICIES)
    return predictor_name(model) if resource in of_predictor else model


def owner_reference(kind: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The ownerReference by which a child follows its owner, a SqueezeModel or SqueezeTraining."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def workers_name(training: str) -> str:
    """The Job, the Service and the NetworkPolicy of a training's workers."""
    return f"{training}-training"


def predictor_name(model: str) -> str:
    """The Deployment and Service that KServe makes for an InferenceService."""
    return f"{model}-predictor"


def app_label(model: str) -> str:
    """The value of the label `app` by which KServe's Deployment selects its pods."""
    return f"isvc.{predictor_name(model)}"
