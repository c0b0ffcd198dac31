"""The real operator, with the arguments and the rights that the chart gives it and no others."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from integration import apiserver
from integration.apiserver import OPERATOR_TOKEN, OPERATOR_USER, ControlPlane, Kube, answers, free_port
from integration.chart.release import ApiServer, Helm
from integration.training_runner import TRAININGS, training
from unit.chart.chart_rendering import CHART, operator_container, rendered

ACCOUNT = ("--set", f"serviceAccount.name={OPERATOR_USER.rpartition(':')[2]}")
MODELS = "/apis/squeezeserve.io/v1alpha1/namespaces/{}/squeezemodels"
SERVICES = "/apis/serving.kserve.io/v1beta1/namespaces/{}/inferenceservices"
CLAIMS = "/api/v1/namespaces/{}/persistentvolumeclaims"
BUDGETS = "/apis/policy/v1/namespaces/{}/poddisruptionbudgets"
SECONDS = 120.0
"""Longer than kopf tries to list namespaces, which a Role does not let it, and than an audit's interval."""


pytestmark = pytest.mark.usefixtures("kserve")


@contextmanager
def running_operator(plane: ControlPlane, folder: Path, *values: str) -> Iterator[Path]:
    """The operator's process as the Deployment starts it, on free ports; yields its log when it is ready."""
    health, metrics = free_port(), free_port()
    ports = {
        "--health-port=8081": f"--health-port={health}",
        "--metrics-port=9090": f"--metrics-port={metrics}",
    }
    arguments = [ports.get(each, each) for each in operator_container(rendered(*values))["args"]]
    kubeconfig = plane.write_kubeconfig(folder / "operator.kubeconfig", OPERATOR_TOKEN)
    environment = os.environ | {"KUBECONFIG": str(kubeconfig), "HOME": str(folder), "POD_ID": "operator"}
    log = folder / "operator.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "squeeze_operator", *arguments]
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        ready = partial(answers, f"http://127.0.0.1:{health}/readyz")
        apiserver.eventually(ready, "the operator is ready", timeout=SECONDS)
        yield log
        assert process.poll() is None, "the operator has died"
    finally:
        process.terminate()
        process.wait(timeout=60)
        print(log.read_text())  # pytest shows it where the test fails


def create_both(kube: Kube, namespace: str) -> None:
    spec = {"weights": {"uri": "builtin://digits"}}
    body = {"apiVersion": "squeezeserve.io/v1alpha1", "kind": "SqueezeModel", "metadata": {"name": "digits"}}
    kube.create(MODELS.format(namespace), body | {"spec": spec})
    request = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    # Claims outlive a test: nothing here lifts their finalizer.
    if kube.get(f"{CLAIMS.format(namespace)}/runs") is None:
        kube.create(CLAIMS.format(namespace), {"metadata": {"name": "runs"}, "spec": request})
    on_claim = training("digits", workers=2, output={"uri": "pvc://runs/digits"})
    kube.create(TRAININGS.format(namespace), on_claim)


def conditions(kube: Kube, namespace: str) -> Any:
    return kube.get(f"{MODELS.format(namespace)}/digits").get("status", {}).get("conditions")


def assert_all_is_done(kube: Kube, namespace: str) -> None:
    """Everything that the operator writes for a model has been written."""
    eventually = partial(apiserver.eventually, timeout=SECONDS)
    eventually(lambda: kube.get(f"{SERVICES.format(namespace)}/digits"), "an InferenceService")
    eventually(lambda: kube.get(f"{BUDGETS.format(namespace)}/digits-predictor"), "a PodDisruptionBudget")
    eventually(lambda: conditions(kube, namespace), "conditions in the status")
    workers = "namespaces/{}/{}/digits-training"
    jobs = f"/apis/batch/v1/{workers.format(namespace, 'jobs')}"
    job = eventually(lambda: kube.get(jobs), "a Job")
    assert "podAffinity" in job["spec"]["template"]["spec"]["affinity"], "its claim can be on one node"
    eventually(lambda: kube.get(f"/api/v1/{workers.format(namespace, 'services')}"), "a Service")
    eventually(
        lambda: "conditions" in kube.get(f"{TRAININGS.format(namespace)}/digits")["status"], "its state"
    )


def test_the_charts_cluster_role_is_enough(api_server: ApiServer, helm: Helm, tmp_path: Path) -> None:
    helm("install", "squeezeserve", str(CHART), *ACCOUNT)
    kube = api_server.plane.client()
    with running_operator(api_server.plane, tmp_path, *ACCOUNT) as log:
        create_both(kube, "team-a")
        assert_all_is_done(kube, "team-a")
    for word in ("403", "orbidden", "Not enough permissions"):
        assert word not in log.read_text()


def test_a_role_in_one_namespace_is_enough_for_that_one(
    api_server: ApiServer, helm: Helm, tmp_path: Path
) -> None:
    values = (*ACCOUNT, "--set", "watchNamespaces={team-b}")
    helm("install", "squeezeserve", str(CHART), *values)
    kube = api_server.plane.client()
    with running_operator(api_server.plane, tmp_path, *values):
        create_both(kube, "team-a")
        create_both(kube, "team-b")
        assert_all_is_done(kube, "team-b")
        assert conditions(kube, "team-a") is None


def test_without_the_charts_rights_the_account_has_none(api_server: ApiServer, helm: Helm) -> None:
    """The two tests above would pass under a token that may do everything; this one would not."""
    helm("install", "squeezeserve", str(CHART), *ACCOUNT, "--set", "rbac.create=false")
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        api_server.plane.client(OPERATOR_TOKEN).get(MODELS.format("team-a"))
