"""Sends a real picture through the gateway and shows the answer as a person would like to see it."""

import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from squeezenet.classify import Prediction
from squeezenet.terminal import render_picture, render_predictions

from squeeze_cluster import paths, platform, waiting
from squeeze_cluster.binaries import ensure_binary
from squeeze_cluster.settings import INGRESS_DOMAIN, Settings

PICTURE = "7.png"


@dataclass(frozen=True)
class Answer:
    """What the gateway said of a picture, and how long it took on this side, in milliseconds."""

    predictions: list[Prediction]
    milliseconds: float


def sample_picture(name: str = PICTURE) -> Path:
    """A held-out handwritten digit that the built-in network never saw in training."""
    return Path(str(files("squeezenet"))) / "builtin" / "digits" / "samples" / name


def host(model: str = platform.SAMPLE, namespace: str = "default") -> str:
    """The host name that KServe's route gives a model."""
    return f"{model}-{namespace}.{INGRESS_DOMAIN}"


def classify(
    picture: bytes, settings: Settings, model: str = platform.SAMPLE, namespace: str = "default"
) -> Answer:
    """POST picture bytes through 127.0.0.1 and the gateway."""
    url = f"http://127.0.0.1:{settings.gateway_port}/v1/models/{model}:predict"
    headers = {"Host": host(model, namespace), "Content-Type": "image/png"}
    began = time.perf_counter()
    response = httpx.post(url, content=picture, headers=headers, timeout=10)
    took = (time.perf_counter() - began) * 1000
    response.raise_for_status()
    return Answer([_prediction(one) for one in response.json()["predictions"][0]["top_k"]], took)


def first_answer(settings: Settings) -> Answer:
    """Wait until Envoy has learnt the route (seconds after the model is Ready), then measure one answer."""
    picture = sample_picture().read_bytes()

    def answers() -> bool:
        try:
            classify(picture, settings)
        except httpx.HTTPError:
            return False
        return True

    waiting.until(
        answers, 60, f"no answer through http://127.0.0.1:{settings.gateway_port}: kubectl get httproute -A"
    )
    return classify(picture, settings)


def show(answer: Answer, settings: Settings, *, colour: bool) -> str:
    """The picture, the answer with bars, the curl line to repeat it, and what to try next.

    Without colours, as in a log file, there are no escape sequences and no picture.
    """
    picture = sample_picture()
    drawn = _drawn(picture) if colour else ""
    shown = picture.relative_to(paths.REPO) if picture.is_relative_to(paths.REPO) else picture
    url = f"http://{host()}:{settings.gateway_port}/v1/models/{platform.SAMPLE}:predict"
    return f"""{drawn}
{render_predictions(answer.predictions, 60, colour=colour)}

{answer.milliseconds:.1f} ms through 127.0.0.1:{settings.gateway_port} → gateway → InferenceService

Again, by hand:
  curl -s {url} -H 'Content-Type: image/png' --data-binary @{shown}

Next:
  export KUBECONFIG={paths.KUBECONFIG}{_kubectl_alias()}
  kubectl get squeezemodels                      # yours is "{platform.SAMPLE}"
  kubectl explain squeezemodel.spec              # every field
  kubectl apply -f manifests/samples/gpu.yaml    # a model on the (simulated) GPU node
  make test                                      # everything that this project checks
  make down                                      # undo it all; caches stay
"""


def in_colour(environment: Mapping[str, str]) -> bool:
    """Whether standard output shows colours: a terminal, unless NO_COLOR or FORCE_COLOR says otherwise."""
    if environment.get("NO_COLOR"):
        return False
    return sys.stdout.isatty() or bool(environment.get("FORCE_COLOR"))


def _drawn(picture: Path) -> str:
    with Image.open(picture) as image:
        return f"\n{render_picture(image.convert('RGB'), 32)}\n"


def _kubectl_alias() -> str:
    """A line that makes `kubectl` work on a machine that has none of its own."""
    return "" if shutil.which("kubectl") else f"\n  alias kubectl={ensure_binary('kubectl')}"


def _prediction(item: dict[str, Any]) -> Prediction:
    return Prediction(int(item["class_id"]), str(item["label"]), float(item["probability"]))
