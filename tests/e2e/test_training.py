"""From `kubectl apply` of a training to a served digit that it never saw, and what the gate keeps out."""

import pytest
from e2e.models import Namespace, wait_for
from e2e.storage import ObjectStore, claim
from e2e.trainings import SECONDS, Training, other, sample
from squeeze_cluster import kubectl
from squeezenet.digits.data import load

CLAIMED = "pvc://runs/digits"


@pytest.fixture
def store(namespace: Namespace, trainer_image: str) -> ObjectStore:
    """The object store that the sample names, in the test's namespace."""
    assert trainer_image
    made = ObjectStore(namespace.name)
    made.install(namespace.settings)
    return made


@pytest.mark.timeout(3 * SECONDS)
@pytest.mark.usefixtures("store")
def test_trainings_to_a_bucket_and_a_claim_are_equal_tested_gated_and_served(namespace: Namespace) -> None:
    mount_before_there_is_anything(namespace, CLAIMED)
    tuned, served = sample(namespace)
    undisturbed = other(tuned, "undisturbed", output={"uri": CLAIMED})
    worse = other(
        tuned,
        "worse",
        mode="train",
        weights=None,
        architecture="squeezenet1_1",
        input={"resize": 40, "crop": 40},
        optimizer={"name": "adam", "learningRate": 0.0004, "batch": 16},
        budget={"iterations": 120},
        workers=1,
    )
    kubectl.apply([tuned, served, undisturbed, worse])
    first, second = Training(namespace, "finetune-digits"), Training(namespace, "undisturbed")
    assert len(first.nodes(2)) == 2
    assert len(second.nodes(2)) == 1, "the claim is ReadWriteOnce"
    first.lose_a_worker()

    for name in ("finetune-digits", "undisturbed", "worse"):
        Training(namespace, name).wait("Trained")
    artifact = first.status()["artifact"]
    assert artifact["test"]["top1"] >= 0.97
    assert artifact["digest"] == second.status()["artifact"]["digest"]
    claimed = {"weights": {"trainingRef": {"name": "undisturbed"}}, "profile": "cost"}
    namespace.apply_model("claimed", claimed)

    namespace.wait_ready("finetuned")
    assert namespace.model("finetuned")["status"]["weights"]["digest"] == artifact["digest"]
    namespace.wait_ready("claimed")
    pictures, answers = labels_of_unseen(namespace, "finetuned")
    assert labels_of_unseen(namespace, "claimed") == (pictures, answers)

    served["spec"]["weights"]["trainingRef"]["name"] = "worse"
    kubectl.apply([served])
    message = namespace.wait_condition("finetuned", "Stalled", "True", "GateNotPassed")
    assert "below spec.gate.minTop1 (0.9700)" in message
    assert namespace.condition("finetuned", "Serving")["status"] == "True"
    assert namespace.ask("finetuned", pictures[0])["label"] == answers[0]
    assert namespace.model("finetuned")["status"]["weights"]["digest"] == artifact["digest"]


def mount_before_there_is_anything(namespace: Namespace, output: str) -> None:
    """Serves from a training's output too early: the kubelet makes the folder that the replica mounts."""
    claim(namespace.name, "runs")
    namespace.apply_model("early", {"weights": {"uri": f"{output}/model"}, "profile": "cost"})
    namespace.wait_condition("early", "Stalled", "True")
    kubectl.kubectl("delete", "squeezemodel", "early", "-n", namespace.name)
    # While it is mounted by a pod without a group, a node's own volume gets none.
    wait_for(lambda: namespace.pods("early") == [], 60, lambda: str(namespace.pods("early")))


def labels_of_unseen(namespace: Namespace, name: str) -> tuple[list[bytes], list[str]]:
    """Pictures that training never saw, and what a model calls the first of them, nearly all rightly."""
    unseen = load(0).test
    pictures = unseen.pictures()
    namespace.ask_soon(name, pictures[0])
    answers = [namespace.ask(name, picture)["label"] for picture in pictures[:20]]
    assert sum(answer == str(digit) for answer, digit in zip(answers, unseen.classes, strict=False)) >= 19
    return pictures, answers
