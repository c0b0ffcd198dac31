"""What may reach what, pod to pod: NetworkPolicies as the cluster enforces them, not as they are written.

Each refusal has a counterpart: somebody else reaches the same place at the same time.
"""

import uuid
from collections.abc import Iterator

import pytest
from e2e.models import Namespace, wait_for
from squeeze_cluster import kubectl, showcase
from squeeze_cluster.settings import SYSTEM_NAMESPACE

# A port on which the operator's policy lets the API server be reached, and nobody else.
PORT, MODEL_PORT = 6443, 8080
API_SERVER, DNS = ("10.96.0.1", 443), ("10.96.0.10", 53)
ENFORCED_SECONDS = 30
OPERATOR = f"-n{SYSTEM_NAMESPACE} deployment/squeezeserve-operator"


@pytest.fixture(scope="module")
def image() -> str:
    """The predictor's image, which has a Python."""
    (container,) = kubectl.get("deployment", "digits-predictor")["spec"]["template"]["spec"]["containers"]
    return str(container["image"])


@pytest.fixture(scope="module")
def elsewhere(image: str) -> Iterator[str]:
    """A pod of another namespace, which no policy selects."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kubectl.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}])
    yield listener(name, "peer", image)
    kubectl.kubectl("delete", "namespace", name, "--wait=false")


def listener(namespace: str, name: str, image: str, **labels: str) -> str:
    """Start a pod that listens on PORT; returns how kubectl exec names it."""
    container = {
        "name": "listener",
        "image": image,
        "command": ["python3", "-m", "http.server", str(PORT), "--directory", "/tmp"],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    kubectl.apply([{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}])
    kubectl.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", namespace, "--timeout=60s")
    return f"-n{namespace} pod/{name}"


def reaches(source: str, target: tuple[str, int]) -> bool:
    """Whether a process in a pod gets a TCP connection; the pod must be able to run one."""
    code = (
        "import socket\n"
        f"try: socket.create_connection({target!r}, 3); print('reached')\n"
        "except OSError: print('not reached')"
    )
    told = kubectl.kubectl("exec", *source.split(), "--", "python3", "-c", code).strip()
    assert told in {"reached", "not reached"}, told
    return told == "reached"


def assert_shut(source: str, target: tuple[str, int]) -> None:
    """A policy is in force some moments after its pod is there."""
    wait_for(lambda: not reaches(source, target), ENFORCED_SECONDS, lambda: f"{source} reaches {target}")


def address(source: str, port: int) -> tuple[str, int]:
    """Where a pod listens."""
    namespace, _, name = source.removeprefix("-n").partition(" pod/")
    return str(kubectl.get("pod", name, namespace)["status"]["podIP"]), port


def test_a_model_answers_its_namespace_and_the_gateway_and_reaches_nothing(
    namespace: Namespace, image: str, elsewhere: str
) -> None:
    scaling = {"minReplicas": 1, "maxReplicas": 1}
    namespace.apply_model(
        "shut", {"weights": {"uri": "builtin://digits"}, "profile": "cost", "scaling": scaling}
    )
    neighbour = listener(namespace.name, "neighbour", image)
    namespace.wait_ready("shut")
    (pod,) = namespace.pods("shut")
    replica = f"-n{namespace.name} pod/{pod['metadata']['name']}"
    model, service = address(replica, MODEL_PORT), (f"shut-predictor.{namespace.name}.svc", 80)

    assert_shut(elsewhere, model)
    assert_shut(elsewhere, service)
    assert reaches(neighbour, model)
    assert reaches(neighbour, service)
    assert namespace.ask_soon("shut", showcase.sample_picture("3.png").read_bytes())["label"] == "3"
    for target in (address(neighbour, PORT), address(elsewhere, PORT), API_SERVER, DNS):
        assert_shut(replica, target)
    for target in (address(neighbour, PORT), API_SERVER, DNS):
        assert reaches(elsewhere, target)


def test_a_model_that_downloads_reaches_names_and_no_pod(
    namespace: Namespace, image: str, elsewhere: str
) -> None:
    """A pod that carries a replica's label stands for a replica that is still downloading."""
    namespace.apply_model("fetching", {"weights": {"uri": "torchvision://squeezenet1_1"}})
    replica = listener(namespace.name, "replica", image, app="isvc.fetching-predictor")
    assert_shut(replica, address(elsewhere, PORT))
    assert_shut(elsewhere, address(replica, PORT))
    assert reaches(replica, DNS)


def test_the_operator_reaches_the_api_server_and_no_other_pod(elsewhere: str) -> None:
    assert reaches(OPERATOR, API_SERVER)
    assert_shut(OPERATOR, address(elsewhere, PORT))
    operator = kubectl.items("pods", "-n", SYSTEM_NAMESPACE, "-l", "app.kubernetes.io/component=operator")[0][
        "status"
    ]["podIP"]
    assert reaches(elsewhere, (operator, 9090))
    assert_shut(elsewhere, (operator, 8081))
