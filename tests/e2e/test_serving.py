"""From `kubectl apply` to right answers through the gateway, from every place that weights come from."""

import base64
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
from e2e.forwarding import port_forward
from e2e.models import Namespace, wait_for
from e2e.storage import ObjectStore, claim_with_file
from squeeze_cluster import kubectl, paths, showcase
from squeeze_cluster.settings import Settings

SMALL = {"requests": {"cpu": "100m", "memory": "400Mi"}}


def test_five_digits_get_their_labels(settings: Settings) -> None:
    for digit in "01357":
        answer = showcase.classify(showcase.sample_picture(f"{digit}.png").read_bytes(), settings)
        assert answer.predictions[0].label == digit


def test_the_printed_curl_line_works(settings: Settings) -> None:
    shown = showcase.show(showcase.first_answer(settings), settings, colour=False)
    line = next(line.strip() for line in shown.splitlines() if line.strip().startswith("curl "))
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, cwd=paths.REPO, check=True)
    assert '"label":"7"' in done.stdout.replace(" ", "")


def test_five_real_pictures_with_imagenet_weights_from_a_volume(
    namespace: Namespace, imagenet_weights: Path, pictures: dict[str, tuple[bytes, int]]
) -> None:
    claim_with_file(namespace.name, "weights", imagenet_weights)
    uri = f"pvc://weights/{imagenet_weights.name}"
    namespace.apply_model("imagenet", {"weights": {"uri": uri}, "resources": SMALL})
    namespace.wait_ready("imagenet")
    namespace.ask_soon("imagenet", pictures["chelsea.png"][0])
    for name, (picture, number) in pictures.items():
        assert namespace.ask("imagenet", picture)["class_id"] == number, name


def test_imagenet_weights_from_an_s3_store_in_the_cluster(
    namespace: Namespace, imagenet_weights: Path, pictures: dict[str, tuple[bytes, int]]
) -> None:
    store = ObjectStore(namespace.name)
    store.install(namespace.settings)
    store.put("models", "imagenet/model.safetensors", imagenet_weights.read_bytes())
    store.put("models", "imagenet-old/model.safetensors", b"a neighbour with the same prefix")
    namespace.apply_model(
        "stored",
        {
            "weights": {"uri": "s3://models/imagenet"},
            "resources": SMALL,
            "placement": {"serviceAccountName": store.service_account},
        },
    )
    namespace.wait_ready("stored")
    picture, number = pictures["coffee.png"]
    assert namespace.ask_soon("stored", picture)["class_id"] == number


def test_json_and_bad_requests_through_the_gateway(settings: Settings) -> None:
    url = f"http://127.0.0.1:{settings.gateway_port}/v1/models/digits:predict"
    headers = {"Host": showcase.host()}
    picture = base64.b64encode(showcase.sample_picture("4.png").read_bytes()).decode()
    good = httpx.post(url, json={"instances": [{"b64": picture}]}, headers=headers, timeout=20)
    assert good.json()["predictions"][0]["label"] == "4"
    bad = httpx.post(url, json={"instances": [{"b64": "%%%"}]}, headers=headers, timeout=20)
    assert bad.status_code == 400
    assert "instances[0].b64" in bad.text


def test_grpc_through_the_service_of_the_model() -> None:
    """The client of the documentation, at the Service's own port."""
    pictures = np.array([showcase.sample_picture("7.png").read_bytes()], dtype=np.object_)
    image = triton.InferInput("image", list(pictures.shape), "BYTES")
    image.set_data_from_numpy(pictures)
    with (
        port_forward("default", "service/digits-predictor", 8081) as port,
        triton.InferenceServerClient(f"127.0.0.1:{port}") as client,
    ):
        answer = client.infer("digits", [image], parameters={"top_k": 1})
    assert answer.as_numpy("label").ravel().tolist() == [b"7"]


def test_status_tells_url_replicas_and_digest() -> None:
    status = kubectl.get("squeezemodel", "digits")["status"]
    assert status["url"] == f"http://{showcase.host()}"
    assert status["readyReplicas"] >= 1
    assert status["weights"]["digest"].startswith("sha256:")
    assert status["device"] == "cpu"


@pytest.mark.parametrize("replicas", [2, 3])
def test_replicas_follow_the_model(namespace: Namespace, replicas: int) -> None:
    scaling = {"minReplicas": replicas, "maxReplicas": replicas}
    namespace.apply_model(
        "scaled", {"weights": {"uri": "builtin://digits"}, "resources": SMALL, "scaling": scaling}
    )
    namespace.wait_ready("scaled")
    # Ready means that the spec's replicas answer; the autoscaler then brings up the rest of them.
    wait_for(
        lambda: _counts(namespace, "scaled") == (replicas, replicas),
        90,
        lambda: str(_counts(namespace, "scaled")),
    )


def _counts(namespace: Namespace, name: str) -> tuple[int, int]:
    """Ready pods, as the kubelets and as the model's status tell."""
    pods = sum(_ready(pod) for pod in namespace.pods(name))
    return pods, namespace.model(name)["status"]["readyReplicas"]


def _ready(pod: kubectl.Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
