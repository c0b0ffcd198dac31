"""Names that the API, KServe and the operator agree on. No logic beyond building a name from a name."""

from typing import NamedTuple

GROUP = "squeezeserve.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "SqueezeModel"

FIELD_MANAGER = "squeeze-operator"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
PART_OF_LABEL = "app.kubernetes.io/part-of"
PART_OF = "squeezeserve"
MODEL_LABEL = f"{GROUP}/model"
"""On every child; KServe passes it on to the Deployment and its pods."""

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
MAX_LABEL = 63
"""Longest DNS label, RFC 1035 section 2.3.4."""


class Key(NamedTuple):
    """What the queue holds: which SqueezeModel to look at."""

    namespace: str
    name: str

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
INFERENCE_SERVICES = Resource("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
PODS = Resource("", "v1", "pods", "Pod")
EVENTS = Resource("", "v1", "events", "Event")
DISRUPTION_BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
AUTOSCALERS = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
SCALED_OBJECTS = Resource("keda.sh", "v1alpha1", "scaledobjects", "ScaledObject")

CHILDREN = {
    resource.kind: resource
    for resource in (INFERENCE_SERVICES, DISRUPTION_BUDGETS, AUTOSCALERS, SCALED_OBJECTS, NETWORK_POLICIES)
}
"""The kinds that the operator writes."""
OPTIONAL = (INFERENCE_SERVICES, SCALED_OBJECTS)
"""Kinds of other products, which may be installed later or removed."""


def child_name(resource: Resource, model: str) -> str:
    """The name of a model's child of this kind."""
    # KServe takes an autoscaler named <model>-predictor for its own and overwrites it.
    of_predictor = (DISRUPTION_BUDGETS, NETWORK_POLICIES)
    return predictor_name(model) if resource in of_predictor else model


def predictor_name(model: str) -> str:
    """The Deployment and Service that KServe makes for an InferenceService."""
    return f"{model}-predictor"


def app_label(model: str) -> str:
    """The value of the label `app` by which KServe's Deployment selects its pods."""
    return f"isvc.{predictor_name(model)}"
