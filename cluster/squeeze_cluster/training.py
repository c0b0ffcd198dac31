"""What trainings need on the development cluster beyond serving: the trainer's image, and an object store."""

import yaml

from squeeze_cluster import catalogue, images, kubectl, paths, registry
from squeeze_cluster.settings import Settings
from squeeze_cluster.stages import Stages

OBJECT_STORE_FILE = paths.CLUSTER / "manifests" / "object-store.yaml"
OBJECT_STORE = "object-store"


def prepare(settings: Settings, stages: Stages, namespace: str = "default") -> None:
    """`make trainer`: have both on the cluster, which must be up."""
    with stages.stage("Trainer's image"):
        stages.say(push_image(settings))
    with stages.stage("Object store"):
        install_object_store(settings, namespace)
        stages.say(f"s3://models at http://{OBJECT_STORE}:7070 in namespace {namespace}")
    stages.done("Trainings can run")


def push_image(settings: Settings) -> str:
    """Make the trainer's image and push it; returns its name on the registry."""
    image = catalogue.product("trainer")
    images.ensure(image, settings)
    return registry.push(image.reference, settings)


def install_object_store(settings: Settings, namespace: str) -> None:
    """Start an S3-compatible server with its keys in a namespace, and wait until it is ready."""
    image = catalogue.object_store()
    images.ensure(image, settings)
    registry.push(image.reference, settings)
    objects = list(yaml.safe_load_all(OBJECT_STORE_FILE.read_text()))
    for one in objects:
        one["metadata"]["namespace"] = namespace
        if one["kind"] == "Deployment":
            one["spec"]["template"]["spec"]["containers"][0]["image"] = image.reference
    kubectl.apply(objects)
    kubectl.wait_rollout(OBJECT_STORE, namespace)
