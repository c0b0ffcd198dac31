"""Pictures and weights for tests of the real server, and the ways to send a picture."""

from __future__ import annotations

import base64
import io
import json
import os
import struct
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import squeezenet
from PIL import Image
from squeezenet.config import InputSpec
from squeezenet.preprocess import preprocess

PICTURES = ("chelsea.png", "coffee.png", "camera.png", "hubble_deep_field.jpg", "rocket.jpg")
DIGITS = Path(squeezenet.__file__).parent / "builtin" / "digits"
REPOSITORY = Path(__file__).parents[3]
IMAGENET_WEIGHTS = "squeezenet1_0-imagenet1k-fp16.safetensors"

Answer = tuple[int, str, float]


def weights_folder() -> Path:
    """Where ImageNet weights lie, if they do."""
    return Path(
        os.environ.get("SQUEEZESERVE_WEIGHTS_DIR") or REPOSITORY / ".." / "shared" / "weights"
    ).resolve()


def skimage_picture(name: str) -> bytes:
    """A picture that scikit-image ships in its wheel."""
    return resources.files("skimage").joinpath("data", name).read_bytes()


def png(width: int, height: int, seed: int = 0) -> bytes:
    """A colourful PNG of that many pixels."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    small.resize((width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def plain_png(width: int, height: int, value: int) -> bytes:
    """A PNG of one grey."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (value, value, value)).save(buffer, "PNG")
    return buffer.getvalue()


def b64(data: bytes) -> str:
    """Base64 as text."""
    return base64.b64encode(data).decode()


def raw(client: httpx.Client, name: str, picture: bytes) -> Answer:
    """The picture as the body."""
    headers = {"Content-Type": "application/octet-stream"}
    return v1_answer(client.post(f"/v1/models/{name}:predict", content=picture, headers=headers))


def put_without_type(client: httpx.Client, name: str, picture: bytes) -> Answer:
    """As `curl -T picture` sends it."""
    return v1_answer(client.put(f"/v1/models/{name}:predict", content=picture))


def form_type(client: httpx.Client, name: str, picture: bytes) -> Answer:
    """As `curl --data-binary @picture` sends it."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return v1_answer(client.post(f"/v1/models/{name}:predict", content=picture, headers=headers))


def multipart(client: httpx.Client, name: str, picture: bytes) -> Answer:
    """As `curl -F image=@picture` sends it."""
    return v1_answer(client.post(f"/v1/models/{name}:predict", files={"image": ("x", picture)}))


def v1_json(client: httpx.Client, name: str, picture: bytes) -> Answer:
    """V1 with base64."""
    return v1_answer(client.post(f"/v1/models/{name}:predict", json={"instances": [{"b64": b64(picture)}]}))


def v2_raw(client: httpx.Client, name: str, picture: bytes) -> Answer:
    """The picture as the body of the V2 route."""
    headers = {"Content-Type": "image/png"}
    return v2_answer(client.post(f"/v2/models/{name}/infer", content=picture, headers=headers))


def v2_bytes_json(client: httpx.Client, name: str, picture: bytes) -> Answer:
    """V2 BYTES with base64."""
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [b64(picture)]}
    return v2_answer(client.post(f"/v2/models/{name}/infer", json={"inputs": [tensor]}))


def v2_bytes_binary(client: httpx.Client, name: str, picture: bytes) -> Answer:
    """V2 BYTES after the JSON."""
    tail = struct.pack("<I", len(picture)) + picture
    return v2_answer(send_binary(client, name, {"name": "image", "shape": [1], "datatype": "BYTES"}, tail))


def v2_floats(client: httpx.Client, name: str, picture: bytes, *, binary: bool = True) -> Answer:
    """V2 FP32, preprocessed here."""
    side = client.get(f"/v2/models/{name}").json()["inputs"][1]["shape"][2]
    spec = InputSpec() if side == 227 else InputSpec(resize=side, crop=side)
    tensor = preprocess(picture, spec)[np.newaxis]
    entry = {"name": "input", "shape": list(tensor.shape), "datatype": "FP32"}
    if binary:
        return v2_answer(send_binary(client, name, entry, tensor.astype("<f4").tobytes()))
    body = {"inputs": [{**entry, "data": tensor.ravel().tolist()}]}
    return v2_answer(client.post(f"/v2/models/{name}/infer", json=body))


def send_binary(
    client: httpx.Client, name: str, tensor: dict[str, Any], tail: bytes, **document: Any
) -> httpx.Response:
    """A V2 request with the binary tensor extension."""
    entry = {**tensor, "parameters": {"binary_data_size": len(tail)}}
    head = json.dumps({"inputs": [entry], **document}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return client.post(f"/v2/models/{name}/infer", content=head + tail, headers=headers)


def v1_answer(response: httpx.Response) -> Answer:
    """The best class of a V1 answer of one picture."""
    assert response.status_code == 200, response.text
    (best,) = response.json()["predictions"]
    return best["class_id"], best["label"], best["probability"]


def v2_answer(response: httpx.Response) -> Answer:
    """The best class of a V2 answer of one picture."""
    assert response.status_code == 200, response.text
    outputs = {output["name"]: output["data"] for output in response.json()["outputs"]}
    return outputs["class_id"][0], outputs["label"][0], outputs["probability"][0]


PICTURE_ROUTES: list[Callable[[httpx.Client, str, bytes], Answer]] = [
    raw,
    put_without_type,
    form_type,
    multipart,
    v1_json,
    v2_raw,
    v2_bytes_json,
    v2_bytes_binary,
]
