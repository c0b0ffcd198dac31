"""The Job and Service of a training, field by field."""

from typing import Any

import pytest
from squeeze_operator.snapshot import Options
from squeeze_operator.spec import SpecError
from squeeze_operator.training.desired import arguments, job
from squeeze_operator.training.spec import TrainingSpec, parse_training

OPTIONS = Options("p:1", "t:1")
METADATA = {"name": "digits", "namespace": "team", "uid": "u1"}


def spec(**fields: Any) -> TrainingSpec:
    given = {"mode": "train", "dataset": {"uri": "builtin://digits"}, "output": {"uri": "s3://b/p"}}
    return parse_training(given | fields)


def pod(**fields: Any) -> Any:
    return job(METADATA, spec(**fields), OPTIONS)["spec"]["template"]["spec"]


def test_a_worker_is_of_the_restricted_profile() -> None:
    made = pod()
    assert made["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    context = made["containers"][0]["securityContext"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert not made["automountServiceAccountToken"]


def test_claims_are_mounted_once_where_the_trainer_looks() -> None:
    made = pod(dataset={"uri": "pvc://data/pictures"}, output={"uri": "pvc://data/out", "fsGroup": 7})
    claims = [volume for volume in made["volumes"] if "persistentVolumeClaim" in volume]
    assert [claim["persistentVolumeClaim"]["claimName"] for claim in claims] == ["data"]
    mounts = {mount["mountPath"] for mount in made["containers"][0]["volumeMounts"]}
    assert mounts == {"/tmp", "/dev/shm", "/mnt/volumes/data"}
    assert made["securityContext"]["fsGroup"] == 7


def test_failures_that_another_try_cannot_change_end_the_job() -> None:
    rules = job(METADATA, spec(), OPTIONS)["spec"]["podFailurePolicy"]["rules"]
    by_action = {(rule["action"], "onExitCodes" in rule): rule for rule in rules}
    assert by_action["FailJob", True]["onExitCodes"]["values"] == [2, 3, 4, 5, 6]
    assert by_action["Ignore", True]["onExitCodes"]["values"] == [75, 143]
    assert by_action["Ignore", False]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_each_try_of_a_group_may_cost_every_worker() -> None:
    assert job(METADATA, spec(workers=4, retries=2), OPTIONS)["spec"]["backoffLimit"] == 8


@pytest.mark.parametrize(("cpu", "threads"), [("500m", 1), ("1", 1), (3, 3), ("2500m", 2)])
def test_threads_follow_the_limit(cpu: str | int, threads: int) -> None:
    given = spec(resources={"limits": {"cpu": cpu}})
    assert f"--threads={threads}" in arguments(given)


def test_gpus_are_asked_for_and_used() -> None:
    given = {"accelerator": {"gpus": 1, "resourceName": "example.com/gpu"}}
    container = pod(**given)["containers"][0]
    assert container["resources"]["limits"]["example.com/gpu"] == "1"
    assert "--device=cuda" in container["args"]


def test_a_request_above_its_limit_is_refused() -> None:
    with pytest.raises(SpecError, match="lower the request or raise the limit"):
        spec(resources={"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}})


def test_the_secret_reaches_the_environment() -> None:
    container = pod(output={"uri": "s3://b/p", "secretName": "keys"})["containers"][0]
    assert container["envFrom"] == [{"secretRef": {"name": "keys"}}]


def test_workers_get_the_variables_that_replicas_get() -> None:
    options = Options("p:1", "t:1", environment=(("HTTPS_PROXY", "http://proxy:3128"), ("HOME", "/root")))
    container = job(METADATA, spec(), options)["spec"]["template"]["spec"]["containers"][0]
    values = {one["name"]: one["value"] for one in container["env"]}
    assert (values["HTTPS_PROXY"], values["HOME"]) == ("http://proxy:3128", "/tmp")


@pytest.mark.parametrize(
    ("fields", "selector"),
    [
        ({}, {"kubernetes.io/arch": "arm64"}),
        (
            {"placement": {"nodeSelector": {"pool": "big"}}},
            {"kubernetes.io/arch": "arm64", "pool": "big"},
        ),
        ({"placement": {"nodeSelector": {"kubernetes.io/arch": "amd64"}}}, {"kubernetes.io/arch": "amd64"}),
        ({"image": "mine:1"}, None),
    ],
)
def test_workers_run_where_their_image_does(fields: dict[str, Any], selector: dict[str, str] | None) -> None:
    options = Options("p:1", "t:1", trainer_architecture="arm64")
    made = job(METADATA, spec(**fields), options)["spec"]["template"]["spec"]
    assert made.get("nodeSelector") == selector
