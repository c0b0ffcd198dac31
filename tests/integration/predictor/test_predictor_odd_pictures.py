"""Odd pictures on a running server of either engine: one answer or one refusal, whatever the route.

What each kind is decoded to, pixel by pixel, is tested beside the decoder.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from integration.apiserver import free_port
from integration.predictor import predictor_inputs as inputs
from integration.predictor.predictor_inputs import Answer
from integration.predictor.predictor_process import running
from PIL import Image
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc as service

NAME = "digits"
TOLERANCE = 0.01
CAT = Image.open(io.BytesIO(inputs.skimage_picture("chelsea.png"))).convert("RGB")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    # The best of JPEG, so that what differs is the kind of file and not what compression leaves out.
    best = {"quality": 100, "subsampling": 0} if kind in ("JPEG", "MPO") else {}
    image.save(buffer, kind, **best, **options)
    return buffer.getvalue()


def unmarked_cmyk() -> bytes:
    """A CMYK JPEG without Adobe's marker, and so without its complement."""
    jpeg = encoded(Image.eval(CAT.convert("CMYK"), lambda value: 255 - value), "JPEG")
    start = jpeg.index(b"\xff\xee")
    return jpeg[:start] + jpeg[start + 2 + struct.unpack_from(">H", jpeg, start + 2)[0] :]


def ycck() -> bytes:
    """Cyan, magenta and yellow through the transform of YCbCr (JFIF), as the marker's flag says."""
    inks = np.asarray(CAT.convert("CMYK")).astype(np.float64)
    matrix = [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
    inks[..., :3] = inks[..., :3] @ np.transpose(matrix) + [0, 128, 128]
    # Pillow writes the complement of what it is given, whatever it means.
    given = 255 - np.clip(inks.round(), 0, 255)
    given[..., 3] = 255 - given[..., 3]
    planes = [Image.fromarray(plane) for plane in np.moveaxis(given.astype(np.uint8), -1, 0)]
    jpeg = bytearray(encoded(Image.merge("CMYK", planes), "JPEG"))
    jpeg[jpeg.index(b"Adobe") + 11] = 2
    return bytes(jpeg)


def transparent(seed: int) -> bytes:
    """The cat on transparent ground with random colours hidden beneath."""
    pixels = np.dstack([np.asarray(CAT), np.full(CAT.size[::-1], 255, np.uint8)])
    hidden = np.random.default_rng(seed).integers(0, 256, (60, CAT.width, 3), dtype=np.uint8)
    pixels[:60, :, :3], pixels[:60, :, 3] = hidden, 0
    return encoded(Image.fromarray(pixels), "PNG")


def on_white() -> bytes:
    pixels = np.asarray(CAT).copy()
    pixels[:60] = 255
    return encoded(Image.fromarray(pixels), "PNG")


GREY = CAT.convert("L")
JPEG = encoded(CAT, "JPEG")
WIDE = Image.fromarray(np.asarray(GREY).astype(np.uint16) * 257)
FRAME = JPEG.index(b"\xff\xc0")
TWINS: dict[str, tuple[bytes, bytes]] = {
    "cmyk": (encoded(CAT.convert("CMYK"), "JPEG"), JPEG),
    "cmyk without marker": (unmarked_cmyk(), JPEG),
    "ycck": (ycck(), JPEG),
    "rgb jpeg": (encoded(CAT, "JPEG", keep_rgb=True), JPEG),
    "16-bit png": (encoded(WIDE, "PNG"), encoded(GREY, "PNG")),
    "16-bit tiff": (encoded(WIDE, "TIFF"), encoded(GREY, "PNG")),
    "hidden colours": (transparent(1), on_white()),
    "other hidden colours": (transparent(2), on_white()),
    "stray bytes": (JPEG[:FRAME] + b"\x12\x34" + JPEG[FRAME:], JPEG),
    "joined": (JPEG + encoded(CAT.rotate(180), "JPEG"), JPEG),
    "multi-picture": (encoded(CAT, "MPO", save_all=True, append_images=[GREY]), JPEG),
    "broken profile": (encoded(CAT, "JPEG", icc_profile=b"no profile"), JPEG),
    "large profile": (encoded(CAT, "JPEG", icc_profile=bytes(4_000_000)), JPEG),
}
RIBBONS = [(1, 1), (1, 2), (2, 1), (1, 4000), (4000, 1), (3012, 5), (1, 65000)]
REFUSED: dict[str, tuple[bytes, str]] = {
    "float": (encoded(Image.new("F", (64, 64)), "TIFF"), "PictureUnsupported"),
    "12-bit jpeg": (JPEG[: FRAME + 4] + b"\x0c" + JPEG[FRAME + 5 :], "PictureInvalid"),
    "truncated": (JPEG[: len(JPEG) // 2], "PictureInvalid"),
    "bomb": (encoded(Image.new("1", (13000, 13000)), "PNG"), "PictureTooManyPixels"),
}


@dataclass(frozen=True)
class Server:
    """A server of one engine, by HTTP and gRPC."""

    client: httpx.Client
    stub: Any

    def over_grpc(self, picture: bytes) -> Answer:
        """The best class of one picture as gRPC BYTES."""
        raw = len(picture).to_bytes(4, "little") + picture
        tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}
        message = pb.ModelInferRequest(model_name=NAME, inputs=[tensor], raw_input_contents=[raw])
        answer = self.stub.ModelInfer(message, timeout=120)
        columns = {
            output.name: raw for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
        }
        length = int.from_bytes(columns["label"][:4], "little")
        return (
            int(np.frombuffer(columns["class_id"], "<i8")[0]),
            columns["label"][4 : 4 + length].decode(),
            float(np.frombuffer(columns["probability"], "<f4")[0]),
        )

    def answers(self, picture: bytes) -> list[Answer]:
        """The picture's answer by every route."""
        return [
            *(route(self.client, NAME, picture) for route in inputs.PICTURE_ROUTES),
            self.over_grpc(picture),
        ]


def refusals(server: Server, picture: bytes) -> list[str]:
    """The reason of the refusal by every route."""
    reasons = []

    def refused(response: httpx.Response) -> None:
        response.read()
        assert 400 <= response.status_code < 500, response.text
        reasons.append(response.json()["error"]["reason"])

    server.client.event_hooks["response"] = [refused]
    try:
        for route in inputs.PICTURE_ROUTES:
            with pytest.raises(AssertionError):
                route(server.client, NAME, picture)
    finally:
        server.client.event_hooks["response"] = []
    with pytest.raises(grpc.RpcError) as caught:
        server.over_grpc(picture)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    return [*reasons, dict(caught.value.trailing_metadata())["squeeze-reason"]]


def weights_or(other: str) -> tuple[str, bool]:
    """ImageNet weights where they are at hand, and whether they are."""
    path = inputs.weights_folder() / inputs.IMAGENET_WEIGHTS
    return (str(path), True) if path.is_file() else (other, False)


@pytest.fixture(scope="module", params=["openvino", "torch"])
def server(
    request: pytest.FixtureRequest, weights: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    port, engine = free_port(), request.param
    flags = (f"--engine={engine}", "--device=cpu", f"--grpc-port={port}", "--weights", weights_or(weights)[0])
    with (
        running(tmp_path_factory.mktemp(engine), *flags) as predictor,
        predictor.client() as client,
        grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_send_message_length", -1)]) as channel,
    ):
        assert client.get("/v2/health/ready").json()["engine"] == engine
        yield Server(client, service.GRPCInferenceServiceStub(channel))


@pytest.mark.parametrize("kind", TWINS)
def test_an_odd_picture_is_answered_as_its_ordinary_twin(server: Server, weights: str, kind: str) -> None:
    odd, ordinary = TWINS[kind]
    expected = inputs.raw(server.client, NAME, ordinary)
    for found in server.answers(odd):
        # Untrained weights have no class that stands out.
        assert found[:2] == expected[:2] or not weights_or(weights)[1]
        assert found[2] == pytest.approx(expected[2], abs=TOLERANCE)


def test_hidden_colours_change_nothing(server: Server) -> None:
    first, second = (inputs.raw(server.client, NAME, transparent(seed)) for seed in (1, 2))
    assert first[:2] == second[:2]
    assert first[2] == pytest.approx(second[2], abs=1e-6)


@pytest.mark.parametrize("size", RIBBONS)
def test_ribbons_are_answered_alike_by_every_route(server: Server, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    first, *others = server.answers(encoded(Image.fromarray(noise), "PNG"))
    for other in others:
        assert other[:2] == first[:2]
        assert other[2] == pytest.approx(first[2], abs=1e-4)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_picture_that_cannot_be_read_is_refused_alike_by_every_route(server: Server, kind: str) -> None:
    picture, reason = REFUSED[kind]
    assert set(refusals(server, picture)) == {reason}
    assert inputs.raw(server.client, NAME, JPEG)
