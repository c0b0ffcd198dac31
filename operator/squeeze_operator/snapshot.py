"""What the operator saw of one SqueezeModel and everything around it, at one moment.

A snapshot is all that `decide` may look at: no client, clock or environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from squeeze_operator import names
from squeeze_operator.names import Key
from squeeze_operator.ownership import controls

Json = Mapping[str, Any]


@dataclass(frozen=True)
class NetworkRules:
    """Whom replicas answer beside their own namespace, and where weights, data and output are.

    NetworkPolicy's own forms: `operator` (its own pods) and `clients` are peers, `weights` egress rules.
    """

    operator: tuple[Json, ...] = ()
    clients: tuple[Json, ...] = ()
    weights: tuple[Json, ...] = ()


@dataclass(frozen=True)
class Options:
    """What an administrator chose when the operator was installed."""

    predictor_image: str
    trainer_image: str = ""
    """Empty where the operator was installed without one: each training then names its own."""
    trainer_pull_policy: str = "IfNotPresent"
    image_pull_policy: str = "IfNotPresent"
    allow_cpu_fallback: bool = False
    domain_template: str = "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}"
    """KServe's domainTemplate; host names that it cannot make are reported before KServe fails."""
    prometheus_address: str = ""
    """Prometheus' HTTP API, as KEDA reaches it; empty where there is none."""
    activator: Key | None = None
    """The activator's Service, which answers for models that sleep; None where there is none."""
    prometheus_window: str = "2m"
    """How far rates in Prometheus look back, as PromQL writes a duration."""
    network_rules: NetworkRules | None = None
    """What the NetworkPolicies of models and trainings allow; without them there are no policies."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables of every replica and worker, such as those of a proxy: (name, value)."""
    architecture: str = ""
    """The only kubernetes.io/arch that predictor_image runs on; empty where it runs on every node's."""
    trainer_architecture: str = ""
    """The same of trainer_image."""


@dataclass(frozen=True)
class Served:
    """What a ready replica says about itself on GET /v2/models/<name>."""

    digest: str | None = None
    device: str | None = None
    engine: str | None = None


@dataclass(frozen=True)
class ApplyError:
    """A write that failed: `rejected` ones fail again until somebody changes something."""

    message: str
    rejected: bool


@dataclass(frozen=True)
class Snapshot:
    """One SqueezeModel (as the API holds it), its children, and KServe's Deployment and pods."""

    model: Json
    options: Options
    now: float = 0.0
    """Unix time of the look."""
    kserve_installed: bool = True
    keda_installed: bool = False
    """Whether KEDA's ScaledObject API is served."""
    children: Mapping[str, Json] = field(default_factory=dict)
    """Live objects by kind, ours or not."""
    kserve_autoscaler: Json | None = None
    """The HorizontalPodAutoscaler that KServe made itself; looked up only where ours is not there."""
    activators: tuple[str, ...] = ()
    """Addresses of the activator's ready pods, sorted; looked up only for a model that may sleep."""
    scalings: tuple[int, ...] = ()
    """The numbers of replicas that the autoscaler wanted within the last half hour, oldest first."""
    deployment: Json | None = None
    pods: tuple[Json, ...] = ()
    served: Served | None = None
    training: Json | None = None
    """The SqueezeTraining that spec.weights.trainingRef names; looked up only where it names one."""
    apply_error: ApplyError | None = None

    @property
    def key(self) -> Key:
        """Namespace and name of the model."""
        return Key(self.model["metadata"]["namespace"], self.model["metadata"]["name"])

    @property
    def service(self) -> Json | None:
        """The live InferenceService, where it is ours."""
        return self.own(names.INFERENCE_SERVICES.kind)

    def own(self, kind: str) -> Json | None:
        """The live child of a kind, where it is this model's; a foreign one of the same name is not."""
        live = self.children.get(kind)
        return live if live is not None and controls(self.model, live) else None

    def foreign(self, kind: str) -> bool:
        """Whether the child's name is taken by what this model (by uid, not by name) does not control."""
        return kind in self.children and self.own(kind) is None
