"""A real Prometheus with the scrape configuration and the rules of the chart.

Debian builds it without the discovery of pods, so a test says what that would find, in its own labels.
"""

import subprocess
from pathlib import Path
from typing import Any

import httpx
import yaml
from integration.apiserver import REPOSITORY, answers, eventually, free_port
from prometheus_programs import program

Pod = dict[str, str]
FILES = REPOSITORY / "charts" / "squeezeserve" / "files" / "monitoring"


def pod(namespace: str, name: str, port_name: str, port: int, **labels: str) -> Pod:
    """A running pod on this machine as the discovery of pods tells of it; labels in Prometheus' spelling."""
    told = {"namespace": namespace, "pod_name": name, "pod_phase": "Running"}
    told |= {"pod_container_port_name": port_name}
    told |= {f"pod_label_{label}": value for label, value in labels.items()}
    return {"__address__": f"127.0.0.1:{port}"} | {f"__meta_kubernetes_{key}": told[key] for key in told}


class PrometheusProcess:
    """Scrapes the pods of each job (of some jobs there are none), and evaluates the rules, every second."""

    def __init__(self, folder: Path, pods: dict[str, list[Pod]]) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = folder / "prometheus.log"
        config = yaml.safe_load((FILES / "scrape.yaml").read_text())
        for job in config["scrape_configs"]:
            del job["kubernetes_sd_configs"]
            job["static_configs"] = [_static(one) for one in pods.get(job["job_name"], [])]
        config["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(FILES / "alerts.yaml")]
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        arguments = {
            "config.file": folder / "prometheus.yaml",
            "storage.tsdb.path": folder / "data",
            "web.listen-address": self.url.removeprefix("http://"),
        }
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [program("prometheus"), *(f"--{name}={value}" for name, value in arguments.items())],
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self) -> None:
        """Returns once it answers; fails with its log where it has ended."""
        eventually(self._ready, "Prometheus is ready", timeout=60)

    def get(self, page: str) -> Any:
        """The data of a page of its API."""
        return httpx.get(f"{self.url}/api/v1/{page}", trust_env=False).raise_for_status().json()["data"]

    def stop(self) -> None:
        """Ends it."""
        self._child.terminate()
        self._child.wait(20)

    def _ready(self) -> bool:
        assert self._child.poll() is None, self._log.read_text()
        return answers(f"{self.url}/-/ready")


def _static(pod: Pod) -> dict[str, Any]:
    labels = {label: value for label, value in pod.items() if label != "__address__"}
    return {"targets": [pod["__address__"]], "labels": labels}
