"""`make up`: the stages that lead from a bare machine to a picture classified through the gateway.

Every stage looks at what is there and does what is missing, so that a run after a failure, a reboot or
a killed engine goes on where it must.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from squeeze_cluster import (
    addons,
    catalogue,
    engine,
    images,
    keda,
    kind,
    network,
    node_image,
    platform,
    preflight,
    registry,
    showcase,
)
from squeeze_cluster.binaries import ensure_binary
from squeeze_cluster.settings import Settings
from squeeze_cluster.stages import Stages

_TOOLS = ("kubectl", "kind", "helm")


def up(settings: Settings, stages: Stages) -> None:
    """Bring everything up, in order."""
    with stages.stage("Look at the machine"):
        preflight.check(settings, ours=engine.running() and bool(kind.nodes()))
    with stages.stage("Container engine"):
        stages.say(engine.ensure())
    with stages.stage("Command line tools"):
        for name in _TOOLS:
            ensure_binary(name, settings)
    with stages.stage("Images"):
        node = _images(settings, stages)
    # The platform's own images are built meanwhile: a cluster that comes up mostly waits.
    with ThreadPoolExecutor(1) as beside:
        pushing = beside.submit(platform.push_images, settings)
        with stages.stage("Cluster"):
            stages.say(f"kind cluster {kind.ensure(node, settings)}")
            kind.finish_nodes()
        with stages.stage("Add-ons"):
            _addons(settings, stages)
        with stages.stage("Images of SqueezeServe"):
            pushed = pushing.result()
    with stages.stage("SqueezeServe"):
        stages.say(f"operator {platform.install_operator(pushed, settings)}")
        platform.apply_sample()
    with stages.stage("A picture through the gateway"):
        answer = showcase.first_answer(settings)
    print(showcase.show(answer, settings, colour=showcase.in_colour(os.environ)))
    preflight.remember()
    stages.done("The cluster is up")


def down(stages: Stages) -> None:
    """Remove the cluster, its registry and the firewall rule; caches stay."""
    with stages.stage("Remove the cluster"):
        if not engine.running():
            stages.say("no container engine runs: nothing to remove")
            return
        kind.delete()
        registry.remove()
        network.remove()
    stages.done("The cluster is gone, its caches are kept")


def _images(settings: Settings, stages: Stages) -> str:
    with stages.stage("Node"):
        node = node_image.ensure(settings)
    with stages.stage("Registry"):
        network.ensure_network()
        registry.ensure(settings)
    for image in (*catalogue.addons(), *(catalogue.keda() if settings.keda else ())):
        with stages.stage(image.reference):
            how = images.ensure(image, settings)
            registry.push(image.reference, settings)
            stages.say(how)
    return node


def _addons(settings: Settings, stages: Stages) -> None:
    steps: dict[str, Callable[[], str]] = {
        "kube-router": addons.install_kube_router,
        "metrics-server": addons.install_metrics_server,
        "Envoy Gateway": addons.install_gateway,
        "KServe": addons.install_kserve,
    }
    if settings.keda:
        steps |= {"KEDA": keda.install_keda, "Prometheus": keda.install_prometheus}
    for name, install in steps.items():
        with stages.stage(name):
            stages.say(install())
    with stages.stage("All of them answer"):
        addons.wait()
        if settings.keda:
            keda.wait()
