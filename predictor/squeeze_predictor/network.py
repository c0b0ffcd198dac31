"""The classifier behind every protocol: pictures or tensors in, predictions out.

The one place that calls `squeezenet`. Everything here blocks and runs in a worker thread. Knows nothing
of HTTP beyond raising the errors that the server answers with.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from squeezenet import artifact as artifacts
from squeezenet import classify, preprocess
from squeezenet.engines import select
from squeezenet.engines.base import Engine, Precision
from squeezenet.errors import DeviceError, PictureError, SqueezeNetError
from squeezenet.pictures import DEFAULT_LIMITS, Limits

from squeeze_predictor import metrics, quota, warmup
from squeeze_predictor.errors import EXIT_CONFIG, EXIT_NO_CUDA, ApiError, StartError, bad_request
from squeeze_predictor.parts import Inputs, Logits, Part, Rows
from squeeze_predictor.settings import Settings
from squeeze_predictor.warmup import Rate

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float32]

TOO_LARGE_REASONS = frozenset({"PictureTooLarge", "PictureTooManyPixels"})
# What a CUDA context says once it is beyond use; every later call fails alike.
STICKY_CUDA = ("CUDA error", "device-side assert", "CUDNN_STATUS_EXECUTION_FAILED", "launch failure")


@dataclass(frozen=True)
class Picture:
    """An encoded picture, and the name that errors use for its place in the request."""

    data: bytes
    field: str | None = None


@dataclass
class Network:
    """A loaded, warmed-up classifier. Its methods may be called from several threads."""

    artifact: artifacts.Artifact
    engine: Engine
    weights: str
    requested_device: str
    limits: Limits
    max_batch: int
    default_top_k: int
    passed_over: tuple[str, ...] = ()
    capacity: tuple[Rate, ...] = ()
    batch_size: int = 1
    broken: str | None = None

    @property
    def num_classes(self) -> int:
        return self.artifact.config.num_classes

    @property
    def crop(self) -> int:
        """Side, in pixels, of the square the network sees."""
        return self.artifact.config.input.crop

    @property
    def fell_back(self) -> bool:
        """Whether a GPU was asked for and the CPU answers."""
        return self.requested_device == "cuda" and not self.engine.device.startswith("cuda")

    def properties(self) -> dict[str, object]:
        """What is served, for the metadata page."""
        return {
            "weights": self.weights,
            "weights_digest": self.artifact.digest,
            "architecture": self.artifact.config.architecture,
            "num_classes": self.num_classes,
            "engine": self.engine.name,
            "precision": self.engine.precision,
            "device": self.engine.device,
            "requested_device": self.requested_device,
            "passed_over": list(self.passed_over),
            "batch_size": self.batch_size,
            "capacity": [asdict(rate) for rate in self.capacity],
        }

    def warm_up(self, batch_size: int, workers: int) -> None:
        """Measure the capacity, and with it choose the batch size where 0 is asked for."""
        # Not the model's own limits, which may be below the typical picture.
        decode = partial(self._decode, warmup.typical_picture(self.crop), DEFAULT_LIMITS)
        steps = warmup.Steps(decode, self.engine.classify_pixels)
        sizes = sorted({1, batch_size}) if batch_size else self.engine.batch_sizes
        self.capacity = warmup.measure(steps, sizes, workers, quota.cpus())
        self.batch_size = batch_size or warmup.best(self.capacity)

    def top_k(self, asked: int | None) -> int:
        """How many classes to answer with. Raises ApiError 400 outside 1..num_classes."""
        if asked is None:
            return min(self.default_top_k, self.num_classes)
        if not 1 <= asked <= self.num_classes:
            raise bad_request("TopKInvalid", f"top_k must be between 1 and {self.num_classes}", "top_k")
        return asked

    def picture_parts(self, pictures: Sequence[Picture], top_k: int) -> list[Part]:
        """A part for each encoded picture, in order; they raise ApiError naming it.

        Raises ApiError for no picture, or too many.
        """
        self.check_batch(len(pictures))
        rows = partial(self._rows, top_k=top_k)
        return [Part(partial(self._pixels, picture), self._infer_pixels, rows) for picture in pictures]

    def tensor_parts(self, batch: FloatArray, top_k: int) -> list[Part]:
        """Like `picture_parts`, for a preprocessed batch [N, 3, crop, crop], float32 and finite."""
        self.check_batch(len(batch))
        rows = partial(self._rows, top_k=top_k)
        return [Part(partial(_same, row[None]), self._infer_tensors, rows) for row in batch]

    def check_batch(self, count: int, field: str | None = None) -> None:
        """Raises ApiError 400 for an empty batch or one above the limit."""
        if count == 0:
            raise bad_request("BatchEmpty", "the request holds no picture; send at least one", field)
        if count > self.max_batch:
            raise bad_request(
                "BatchTooLarge",
                f"the request holds {count} pictures; at most {self.max_batch} are answered at once",
                field,
            )

    def _pixels(self, picture: Picture) -> NDArray[np.uint8]:
        """One picture, uint8 [1, crop, crop, 3]."""
        try:
            with metrics.stage("decode"):
                return self._decode(picture.data, self.limits)
        except PictureError as error:
            too_large = error.reason in TOO_LARGE_REASONS
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST
            raise ApiError(status, error.reason, error.message, field=picture.field) from None

    def _decode(self, data: bytes, limits: Limits) -> NDArray[np.uint8]:
        return preprocess.to_pixels(preprocess.decode(data, limits), self.artifact.config.input)[None]

    def _infer_pixels(self, pixels: Inputs) -> Logits:
        return self._infer(self.engine.classify_pixels, pixels)

    def _infer_tensors(self, batch: Inputs) -> Logits:
        return self._infer(self.engine.classify_tensors, batch)

    def _infer(self, infer: Callable[[NDArray[Any]], Logits], batch: Inputs) -> Logits:
        metrics.BATCH.observe(len(batch))
        with metrics.stage("infer"):
            try:
                return infer(batch)
            except Exception as error:
                raise self._engine_failure(error) from error

    def _rows(self, logits: Logits, top_k: int) -> Rows:
        if not np.isfinite(logits).all():
            raise bad_request("TensorInvalid", "the network's output is not finite: scale the input")
        metrics.PICTURES.inc(len(logits))
        return [classify.top_k(row, self.artifact.labels, top_k) for row in logits]

    def _engine_failure(self, error: Exception) -> ApiError:
        if type(error).__name__ == "OutOfMemoryError":
            return ApiError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "OutOfMemory",
                "the device has no memory left for this batch; send fewer pictures",
                headers={"Retry-After": "1"},
            )
        if any(sign in str(error) for sign in STICKY_CUDA):
            self.broken = "the CUDA device has failed; this server must be restarted"
        log.error("inference failed: %s", type(error).__name__)
        return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, "InferenceFailed", "the network could not be run")


def _same(picture: FloatArray) -> FloatArray:
    return picture


def load(settings: Settings, threads: int) -> Network:
    """A network that is ready to answer: weights checked, engine built and proved.

    Raises:
        StartError: WeightsNotFound, WeightsInvalid, DigestMismatch, ConfigInvalid, NoCudaDevice or
            EngineFailed.
    """
    try:
        artifact = artifacts.load(
            settings.weights, sha256=settings.sha256, architecture=settings.architecture
        )
        chosen = select.start(artifact, _wish(settings, threads))
    except SqueezeNetError as error:
        code = EXIT_NO_CUDA if isinstance(error, DeviceError) else EXIT_CONFIG
        raise StartError(error.reason, error.message, code) from error
    network = Network(
        artifact=artifact,
        engine=chosen.engine,
        weights=settings.weights,
        requested_device=settings.device,
        limits=Limits(max_bytes=settings.max_bytes, max_pixels=settings.max_pixels),
        max_batch=settings.max_batch,
        default_top_k=settings.top_k,
        passed_over=chosen.passed_over,
    )
    network.warm_up(settings.batch_size, threads)
    if network.fell_back:
        log.warning("no CUDA device: the CPU answers, as --cpu-fallback allows; expect less throughput")
    return network


def _wish(settings: Settings, threads: int) -> select.Wish:
    # The parser has checked them against their choices.
    return select.Wish(
        engine=cast(select.Name, settings.engine),
        device=cast(Literal["auto", "cpu", "cuda"], settings.device),
        cpu_fallback=settings.cpu_fallback,
        threads=threads,
        streams=settings.streams,
        precision=cast(Precision | Literal["auto"], settings.precision),
    )
