"""Helm uninstall and reinstall: models keep serving, and nothing restarts."""

from e2e.models import wait_for
from squeeze_cluster import kubectl, paths, platform, shell, showcase
from squeeze_cluster.binaries import ensure_binary
from squeeze_cluster.settings import SYSTEM_NAMESPACE, Settings


def test_uninstall_and_reinstall_keep_models_serving(settings: Settings) -> None:
    picture = showcase.sample_picture("2.png").read_bytes()
    wait_for(_complete, 90, lambda: str(_status()))
    before = _pods()
    shell.run(
        *(ensure_binary("helm"), "--kubeconfig", paths.KUBECONFIG),
        *("uninstall", platform.RELEASE, "--namespace", SYSTEM_NAMESPACE),
    )
    # Helm's own --wait also waits for the CRD, which the chart keeps.
    kubectl.kubectl("wait", "--for=delete", "deployment/squeezeserve-operator", "-n", SYSTEM_NAMESPACE)
    assert kubectl.exists("squeezemodel", platform.SAMPLE)
    assert showcase.classify(picture, settings).predictions[0].label == "2"
    platform.install_operator(platform.push_images(settings), settings)
    kubectl.kubectl("wait", "--for=condition=Ready", f"squeezemodel/{platform.SAMPLE}", "--timeout=60s")
    assert showcase.classify(picture, settings).predictions[0].label == "2"
    assert _pods() == before


def test_helm_test_passes() -> None:
    # Helm 4.2 prints the result and then waits for the deletion of a pod that is gone; hence the bound.
    told = shell.run(
        *(ensure_binary("helm"), "--kubeconfig", paths.KUBECONFIG),
        *("test", platform.RELEASE, "--namespace", SYSTEM_NAMESPACE, "--timeout", "40s", "--logs"),
        timeout=45,
        check=False,
    )
    assert told.count("Succeeded") == 2, told


def _status() -> kubectl.Object:
    return dict(kubectl.get("squeezemodel", platform.SAMPLE)["status"])


def _complete() -> bool:
    """Whether the autoscaler has brought up the replicas that the model has at least."""
    status = _status()
    return bool(status["readyReplicas"] >= status["effective"]["minReplicas"])


def _pods() -> set[str]:
    label = f"serving.kserve.io/inferenceservice={platform.SAMPLE}"
    return {pod["metadata"]["uid"] for pod in kubectl.items("pods", "-n", "default", "-l", label)}
