"""The objects that a spec stands for."""

from typing import Any

import pytest
from squeeze_operator.desired import autoscaler, disruption_budget, inference_service
from squeeze_operator.snapshot import Options
from squeeze_operator.spec import parse_spec

METADATA = {"name": "digits", "namespace": "team", "uid": "u1", "labels": {"team": "vision"}}
OPTIONS = Options("registry.example/predictor:1")


def service(options: Options = OPTIONS, **spec: Any) -> dict[str, Any]:
    """The InferenceService of the digits with some fields of the spec replaced."""
    return inference_service(METADATA, parse_spec({"weights": {"uri": "builtin://digits"}} | spec), options)


def container(options: Options = OPTIONS, **spec: Any) -> dict[str, Any]:
    """The predictor's container."""
    found: dict[str, Any] = service(options, **spec)["spec"]["predictor"]["containers"][0]
    return found


def test_the_smallest_model_in_full() -> None:
    """Golden: a change here rolls the pods of every model at the next upgrade of the operator."""
    probe = {"httpGet": {"path": "/v2/health/ready", "port": 8080}, "timeoutSeconds": 5}
    assert service() == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "digits",
            "namespace": "team",
            "labels": {
                "app.kubernetes.io/managed-by": "squeeze-operator",
                "app.kubernetes.io/part-of": "squeezeserve",
                "squeezeserve.io/model": "digits",
            },
            "annotations": {
                "serving.kserve.io/deploymentMode": "Standard",
                "serving.kserve.io/autoscalerClass": "external",
            },
            "ownerReferences": [
                {
                    "apiVersion": "squeezeserve.io/v1alpha1",
                    "kind": "SqueezeModel",
                    "name": "digits",
                    "uid": "u1",
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {
            "predictor": {
                "minReplicas": 2,
                "maxReplicas": 5,
                "deploymentStrategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
                },
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": 60,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
                "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}],
                "topologySpreadConstraints": [
                    {
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": {"app": "isvc.digits-predictor"}},
                        "matchLabelKeys": ["pod-template-hash"],
                    }
                ],
                "containers": [
                    {
                        "name": "kserve-container",
                        "image": "registry.example/predictor:1",
                        "imagePullPolicy": "IfNotPresent",
                        "args": [
                            "--model-name=digits",
                            "--weights=builtin://digits",
                            "--device=cpu",
                            "--grpc-port=8081",
                            "--streams=1",
                            "--batch-size=1",
                            "--queue-size=64",
                        ],
                        "env": [
                            {"name": "HOME", "value": "/tmp"},
                            {"name": "TORCH_HOME", "value": "/tmp/torch"},
                        ],
                        "ports": [
                            {"name": "http1", "containerPort": 8080, "protocol": "TCP"},
                            {"name": "grpc", "containerPort": 8081, "protocol": "TCP"},
                        ],
                        "resources": {
                            "requests": {"cpu": "500m", "memory": "256Mi"},
                            "limits": {"cpu": "2", "memory": "2Gi"},
                        },
                        "startupProbe": probe | {"periodSeconds": 1, "failureThreshold": 600},
                        "readinessProbe": probe | {"periodSeconds": 5, "failureThreshold": 2},
                        "livenessProbe": {
                            "httpGet": {"path": "/v2/health/live", "port": 8080},
                            "periodSeconds": 10,
                            "timeoutSeconds": 5,
                            "failureThreshold": 6,
                        },
                        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "readOnlyRootFilesystem": True,
                            "runAsNonRoot": True,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                    }
                ],
            }
        },
    }


@pytest.mark.parametrize("scheme", ["pvc", "s3", "gs", "https", "hf"])
def test_remote_weights_come_through_the_storage_initializer(scheme: str) -> None:
    made = container(weights={"uri": f"{scheme}://place/model"})
    assert {"name": "STORAGE_URI", "value": f"{scheme}://place/model"} in made["env"]
    assert "--weights=/mnt/models" in made["args"]


@pytest.mark.parametrize("uri", ["builtin://digits", "torchvision://squeezenet1_0"])
def test_the_predictor_resolves_its_own_weights(uri: str) -> None:
    made = container(weights={"uri": uri})
    assert "STORAGE_URI" not in [variable["name"] for variable in made["env"]]
    assert f"--weights={uri}" in made["args"]


def test_gpus_stand_in_requests_and_limits_and_only_under_their_name() -> None:
    made = container(accelerator={"gpus": 2, "resourceName": "amd.com/gpu"})
    assert made["resources"]["requests"]["amd.com/gpu"] == "2"
    assert made["resources"]["limits"]["amd.com/gpu"] == "2"
    assert "nvidia.com/gpu" not in str(made)
    assert "--device=cuda" in made["args"]
    assert "--cpu-fallback" not in made["args"]


def test_the_cpu_fallback_is_the_administrators_choice_and_only_for_gpus() -> None:
    options = Options("image", allow_cpu_fallback=True)
    assert "--cpu-fallback" in container(options, accelerator={"gpus": 1})["args"]
    assert "--cpu-fallback" not in container(options)["args"]


def test_digest_architecture_and_image_are_passed_on() -> None:
    digest = "ab" * 32
    made = container(
        weights={"uri": "builtin://digits", "sha256": f"sha256:{digest}"},
        architecture="squeezenet1_1",
        image="mine:2",
    )
    assert f"--sha256={digest}" in made["args"]
    assert "--architecture=squeezenet1_1" in made["args"]
    assert made["image"] == "mine:2"


@pytest.mark.parametrize("precision", ["f32", "bf16", "int8"])
def test_a_precision_that_was_chosen_is_passed_on(precision: str) -> None:
    assert f"--precision={precision}" in container(precision=precision)["args"]


def test_the_default_precision_rolls_no_model_at_an_upgrade() -> None:
    assert container(precision="auto") == container()
    assert "precision" not in str(container())


def test_the_autoscaler_in_full() -> None:
    made = autoscaler(METADATA, parse_spec({"weights": {"uri": "builtin://digits"}}))
    assert made == {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {key: value for key, value in service()["metadata"].items() if key != "annotations"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "digits-predictor"},
            "minReplicas": 2,
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "ContainerResource",
                    "containerResource": {
                        "name": "cpu",
                        "container": "kserve-container",
                        "target": {"type": "Utilization", "averageUtilization": 70},
                    },
                }
            ],
            "behavior": {
                "scaleUp": {
                    "stabilizationWindowSeconds": 0,
                    "selectPolicy": "Max",
                    "policies": [
                        {"type": "Percent", "value": 100, "periodSeconds": 15},
                        {"type": "Pods", "value": 4, "periodSeconds": 15},
                    ],
                },
                "scaleDown": {
                    "stabilizationWindowSeconds": 300,
                    "selectPolicy": "Max",
                    "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                },
            },
        },
    }


def test_the_autoscaler_is_never_one_that_kserve_would_take_for_its_own() -> None:
    made = autoscaler(METADATA, parse_spec({"weights": {"uri": "builtin://digits"}}))
    assert made["metadata"]["name"] != made["spec"]["scaleTargetRef"]["name"]


@pytest.mark.parametrize(
    ("profile", "spread"), [("latency", "nodes"), ("throughput", "none"), ("cost", "pack")]
)
def test_the_spread_follows_the_profile_and_can_be_set(profile: str, spread: str) -> None:
    def places(**spec: Any) -> tuple[bool, bool]:
        predictor = service(**spec)["spec"]["predictor"]
        return "topologySpreadConstraints" in predictor, "affinity" in predictor

    expected = {"nodes": (True, False), "none": (False, False), "pack": (False, True)}
    assert places(profile=profile) == expected[spread]
    for chosen, seen in expected.items():
        assert places(profile=profile, placement={"spread": chosen}) == seen


def test_packing_is_a_wish_to_be_beside_other_replicas() -> None:
    affinity = service(profile="cost")["spec"]["predictor"]["affinity"]
    (term,) = affinity["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    labels = service(profile="cost")["metadata"]["labels"]
    assert term["podAffinityTerm"]["labelSelector"]["matchLabels"].items() <= labels.items()
    mine: dict[str, Any] = {"nodeAffinity": {}}
    assert service(profile="cost", placement={"affinity": mine})["spec"]["predictor"]["affinity"] == mine


def test_a_fixed_number_of_replicas_has_no_autoscaler() -> None:
    made = service(scaling={"metric": "none", "minReplicas": 3})
    assert made["metadata"]["annotations"]["serving.kserve.io/autoscalerClass"] == "none"
    assert made["spec"]["predictor"]["minReplicas"] == 3
    assert "scaleMetric" not in made["spec"]["predictor"]


def test_placement_is_passed_on_and_nothing_empty() -> None:
    placement = {
        "nodeSelector": {"gpu": "true"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "serviceAccountName": "reader",
        "imagePullSecrets": [{"name": "pull"}],
    }
    predictor = service(placement=placement)["spec"]["predictor"]
    assert {key: predictor[key] for key in placement} == placement
    empty = service(placement={key: {} for key in placement})["spec"]["predictor"]
    assert not set(placement) & set(empty)


@pytest.mark.parametrize(("profile", "share"), [("latency", 1), ("throughput", "25%"), ("cost", "50%")])
def test_the_disruption_budget_follows_the_profile(profile: str, share: int | str) -> None:
    budget = disruption_budget(METADATA, parse_spec({"weights": {"uri": "x://y"}, "profile": profile}))
    assert budget["metadata"]["name"] == "digits-predictor"
    assert budget["spec"]["maxUnavailable"] == share
    chosen = {"weights": {"uri": "x://y"}, "profile": profile, "disruption": {"maxUnavailable": 3}}
    assert disruption_budget(METADATA, parse_spec(chosen))["spec"]["maxUnavailable"] == 3
    assert budget["spec"]["selector"] == {"matchLabels": {"app": "isvc.digits-predictor"}}
