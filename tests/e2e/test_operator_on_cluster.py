"""The operator's word on a real cluster: placement, repair, refusals, failures that explain themselves."""

import pytest
from e2e.models import Namespace, model, wait_for
from squeeze_cluster import kubectl, showcase
from squeeze_cluster.errors import CommandError
from squeeze_cluster.kind import GPU_LABEL

ONE = {"minReplicas": 1, "maxReplicas": 1}
DIGITS = {
    "weights": {"uri": "builtin://digits"},
    "resources": {"requests": {"cpu": "100m", "memory": "400Mi"}},
}


def test_a_gpu_model_lands_on_the_gpu_node_and_says_that_it_runs_on_cpu(namespace: Namespace) -> None:
    namespace.apply_model("gpu", {**DIGITS, "accelerator": {"gpus": 1}, "scaling": ONE})
    namespace.wait_ready("gpu")
    (pod,) = namespace.pods("gpu")
    node = kubectl.get("node", pod["spec"]["nodeName"])
    assert node["metadata"]["labels"][GPU_LABEL] == "true"
    resources = pod["spec"]["containers"][0]["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "1"
    # The operator asks the replica what it runs on once it answers.
    message = namespace.wait_condition("gpu", "Ready", "True", "RunningOnCPU", seconds=60)
    assert "no CUDA device" in message
    assert namespace.model("gpu")["status"]["device"] == "cpu"


def test_too_many_gpus_say_why_they_wait(namespace: Namespace) -> None:
    namespace.apply_model("huge", {**DIGITS, "accelerator": {"gpus": 3}, "scaling": ONE})
    message = namespace.wait_condition("huge", "Stalled", "True", "Unschedulable")
    assert "3" in message
    assert "nvidia.com/gpu" in message
    namespace.apply_model("huge", {**DIGITS, "accelerator": {"gpus": 0}, "scaling": ONE})
    namespace.wait_ready("huge")
    (pod,) = [pod for pod in namespace.pods("huge") if "deletionTimestamp" not in pod["metadata"]]
    assert "nvidia.com/gpu" not in pod["spec"]["containers"][0]["resources"].get("limits", {})


def test_two_replicas_by_default_on_two_nodes(namespace: Namespace) -> None:
    namespace.apply_model("pair", DIGITS)
    namespace.wait_ready("pair")

    def nodes() -> set[str]:
        return {pod["spec"].get("nodeName", "") for pod in namespace.pods("pair")} - {""}

    wait_for(lambda: len(nodes()) == 2, 90, lambda: str(nodes()))
    (scaler,) = kubectl.items("hpa", "-n", namespace.name)
    assert scaler["metadata"]["name"] == "pair"
    # The first measurement of a new replica takes a minute or two.
    namespace.wait_condition("pair", "Scaling", "True", "FollowsLoad", seconds=240)


def test_an_update_on_a_full_gpu_node_completes_by_decision(namespace: Namespace) -> None:
    both = {**DIGITS, "accelerator": {"gpus": 2}, "scaling": ONE}
    namespace.apply_model("full", both)
    namespace.wait_ready("full")
    changed = {**both, "batching": {"queueSize": 9}}
    namespace.apply_model("full", changed)
    message = namespace.wait_condition("full", "Stalled", "True", "NoRoomForUpdate")
    assert "no replica answers while an old replica ends" in message
    assert namespace.condition("full", "Serving")["status"] == "True"
    namespace.apply_model("full", {**changed, "rollout": {"allowDowntime": True}})
    namespace.wait_condition("full", "Reconciling", "True", "ReplacingInPlace", seconds=90)
    namespace.wait_ready("full")
    (pod,) = [pod for pod in namespace.pods("full") if "deletionTimestamp" not in pod["metadata"]]
    assert "--queue-size=9" in pod["spec"]["containers"][0]["args"]


def test_a_child_deleted_or_edited_by_hand_comes_back(namespace: Namespace) -> None:
    namespace.apply_model("kept", DIGITS)
    namespace.wait_ready("kept")
    kubectl.kubectl(
        "patch",
        "isvc",
        "kept",
        "-n",
        namespace.name,
        "--type=merge",
        "-p",
        '{"spec":{"predictor":{"maxReplicas":9}}}',
    )
    wait_for(
        lambda: _child(namespace)["spec"]["predictor"]["maxReplicas"] == 5, 30, lambda: str(_child(namespace))
    )
    uid = _child(namespace)["metadata"]["uid"]
    kubectl.kubectl("delete", "isvc", "kept", "-n", namespace.name, "--wait=true")
    wait_for(lambda: _child_uid(namespace) not in ("", uid), 60, lambda: _child_uid(namespace))
    namespace.wait_ready("kept")


def test_delete_leaves_nothing_behind(namespace: Namespace) -> None:
    namespace.apply_model("gone", DIGITS)
    namespace.wait_ready("gone")
    kubectl.kubectl("delete", "squeezemodel", "gone", "-n", namespace.name)
    kinds = "isvc,deploy,rs,pods,svc,hpa,httproute,pdb,cm"

    def left() -> list[str]:
        names = kubectl.kubectl("get", kinds, "-n", namespace.name, "-o", "name").split()
        return [name for name in names if "kube-root-ca" not in name]

    wait_for(lambda: left() == [], 120, lambda: str(left()))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({}, "weights"),
        ({"weights": {"uri": "ftp://example/model"}}, "uri"),
        ({"weights": {"uri": "builtin://digits", "sha256": "abc"}}, "sha256"),
        ({**DIGITS, "scaling": {"minReplicas": 3, "maxReplicas": 2}}, "maxReplicas"),
        ({**DIGITS, "profile": "fast"}, "profile"),
        ({**DIGITS, "accelerator": {"gpus": -1}}, "gpus"),
    ],
)
def test_wrong_models_are_refused_at_admission(
    namespace: Namespace, spec: dict[str, object], told: str
) -> None:
    with pytest.raises(CommandError) as refused:
        kubectl.apply([model("wrong", namespace.name, spec)])
    assert told in refused.value.output
    assert not kubectl.exists("squeezemodel", "wrong", namespace.name)


def test_a_name_that_is_taken_is_left_alone(namespace: Namespace) -> None:
    other = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": "mine", "namespace": namespace.name},
        "spec": {"predictor": {"containers": [{"name": "kserve-container", "image": "someone/elses:1"}]}},
    }
    kubectl.apply([other])
    namespace.apply_model("mine", DIGITS)
    message = namespace.wait_condition("mine", "Stalled", "True", "NameTaken", seconds=60)
    assert "mine" in message
    found = kubectl.get("isvc", "mine", namespace.name)
    assert found["spec"]["predictor"]["containers"][0]["image"] == "someone/elses:1"


def test_a_missing_image_names_it(namespace: Namespace) -> None:
    namespace.apply_model("imageless", {**DIGITS, "image": "localhost:5001/squeezeserve/no-such-image:1"})
    message = namespace.wait_condition("imageless", "Stalled", "True")
    assert "no-such-image" in message


def test_wrong_digest_stalls_with_its_cause_and_the_next_spec_recovers(namespace: Namespace) -> None:
    namespace.apply_model("checked", {**DIGITS, "weights": {"uri": "builtin://digits", "sha256": "0" * 64}})
    message = namespace.wait_condition("checked", "Stalled", "True")
    assert "sha256" in message.lower() or "digest" in message.lower()
    namespace.apply_model("checked", {**DIGITS, "weights": {"uri": "builtin://digits"}})
    namespace.wait_ready("checked")
    assert namespace.ask_soon("checked", showcase.sample_picture("3.png").read_bytes())["label"] == "3"


def _child(namespace: Namespace) -> kubectl.Object:
    return kubectl.get("isvc", "kept", namespace.name)


def _child_uid(namespace: Namespace) -> str:
    if not kubectl.exists("isvc", "kept", namespace.name):
        return ""
    return str(_child(namespace)["metadata"]["uid"])
