"""What may reach what, pod to pod: NetworkPolicies as the cluster enforces them, not as they are written.

Each refusal has a counterpart: somebody else reaches the same place at the same time.
"""

import json
import uuid
from collections.abc import Iterator

import pytest
from e2e.models import Namespace, wait_for
from e2e.storage import NODES, claim
from e2e.trainings import Training, other, sample
from squeeze_cluster import kubectl, showcase
from squeeze_cluster.settings import SYSTEM_NAMESPACE

# A port on which the operator's policy lets the API server be reached, and nobody else.
PORT, MODEL_PORT = 6443, 8080
LISTEN = "0A"
Target = tuple[str, int]
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


def reached(source: str, *targets: Target) -> list[Target]:
    """Where a process in a pod gets a TCP connection, all tried at once; the pod must be able to run one."""
    code = f"""
import concurrent.futures, json, socket
def reaches(target):
    try: socket.create_connection(target, 3).close()
    except OSError: return False
    return True
with concurrent.futures.ThreadPoolExecutor() as pool:
    print(json.dumps(list(pool.map(reaches, {targets!r}))))
"""
    answers = json.loads(kubectl.kubectl("exec", *source.split(), "--", "python3", "-c", code))
    return [target for target, answer in zip(targets, answers, strict=True) if answer]


def assert_shut(source: str, *targets: Target) -> None:
    """A policy is in force some moments after its pod is there."""
    last: list[Target] = []

    def shut() -> bool:
        last[:] = reached(source, *targets)
        return not last

    wait_for(shut, ENFORCED_SECONDS, lambda: f"{source} reaches {last}")


def assert_open(source: str, *targets: Target) -> None:
    """What a refusal is worth: somebody reaches the same place."""
    assert reached(source, *targets) == list(targets)


def listening(pod: str) -> list[Target]:
    """Every place at which a pod's processes listen, by the kernel's own tables."""
    tables = kubectl.kubectl("exec", *pod.split(), "--", "cat", "/proc/net/tcp", "/proc/net/tcp6")
    rows = [line.split() for line in tables.splitlines()]
    ports = {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTEN}
    return [address(pod, port) for port in sorted(ports)]


def address(source: str, port: int) -> Target:
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

    assert_shut(elsewhere, model, service)
    assert_open(neighbour, model, service)
    assert namespace.ask_soon("shut", showcase.sample_picture("3.png").read_bytes())["label"] == "3"
    assert_shut(replica, address(neighbour, PORT), address(elsewhere, PORT), API_SERVER, DNS)
    assert_open(elsewhere, address(neighbour, PORT), API_SERVER, DNS)


def test_a_model_that_downloads_reaches_names_and_no_pod(
    namespace: Namespace, image: str, elsewhere: str
) -> None:
    """A pod that carries a replica's label stands for a replica that is still downloading."""
    namespace.apply_model("fetching", {"weights": {"uri": "torchvision://squeezenet1_1"}})
    replica = listener(namespace.name, "replica", image, app="isvc.fetching-predictor")
    assert_shut(replica, address(elsewhere, PORT))
    assert_shut(elsewhere, address(replica, PORT))
    assert_open(replica, DNS)


@pytest.mark.usefixtures("trainer_image")
def test_the_workers_of_a_training_reach_each_other_and_nobody_else_reaches_them(
    namespace: Namespace, image: str, elsewhere: str
) -> None:
    # Worker 0 alone writes, so that a folder of each node stands for a volume of both.
    claim(namespace.name, "runs", NODES, "ReadWriteMany")
    endless = other(
        sample(namespace)[0], "endless", budget={"iterations": 10**6}, output={"uri": "pvc://runs/endless"}
    )
    kubectl.apply([endless])
    neighbour = listener(namespace.name, "neighbour", image, **{"squeezeserve.io/training": "another"})
    training = Training(namespace, "endless")
    # The operator has asked a worker how far it is.
    training.wait("Training")
    leader, worker = (
        f"-n{namespace.name} pod/{pod['metadata']['name']}"
        for pod in sorted(training.workers(), key=lambda pod: str(pod["metadata"]["name"]))
    )
    places = listening(leader)
    assert len(places) > 1, "the page of its progress, and where the workers meet"
    assert_open(worker, *places)
    assert_shut(elsewhere, *places)
    assert_shut(neighbour, *places)
    assert_shut(leader, address(neighbour, PORT), address(elsewhere, PORT), API_SERVER)
    assert_open(elsewhere, address(neighbour, PORT), API_SERVER)


def test_the_operator_reaches_the_api_server_and_no_other_pod(elsewhere: str) -> None:
    assert_open(OPERATOR, API_SERVER)
    assert_shut(OPERATOR, address(elsewhere, PORT))
    (pod, *_) = kubectl.items("pods", "-n", SYSTEM_NAMESPACE, "-l", "app.kubernetes.io/component=operator")
    operator = f"-n{SYSTEM_NAMESPACE} pod/{pod['metadata']['name']}"
    assert_open(elsewhere, address(operator, 9090))
    assert_shut(elsewhere, address(operator, 8081))
