"""Preprocessing against torchvision's own transform, and the published answers of the ImageNet weights."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from squeezenet import artifact
from squeezenet.artifact import Artifact
from squeezenet.classify import top_k
from squeezenet.config import InputSpec
from squeezenet.engines.base import Engine
from squeezenet.engines.openvino_engine import OpenVINOEngine
from squeezenet.engines.torch_engine import TorchEngine
from squeezenet.preprocess import crop_box, decode, preprocess, to_pixels, to_tensor
from torchvision import transforms
from unit.squeezenet.real_pictures import NAMES, encoded, needs_weights, picture, picture_bytes, weights_path

SPEC = InputSpec()
# One grey level of 255, the rounding of two passes in another order, normalised by the smallest deviation.
ONE_LEVEL = 1 / 255 / 0.224


def reference(image: Image.Image, spec: InputSpec = SPEC) -> NDArray[np.float32]:
    transform = transforms.Compose(
        [
            transforms.Resize(spec.resize, antialias=True),
            transforms.CenterCrop(spec.crop),
            transforms.ToTensor(),
            transforms.Normalize(spec.mean, spec.std),
        ]
    )
    tensor: NDArray[np.float32] = transform(image).numpy()
    return tensor


@pytest.mark.parametrize("name", NAMES)
def test_real_pictures_equal_torchvision(name: str) -> None:
    ours = preprocess(picture_bytes(name), SPEC)
    assert ours.dtype == np.float32
    assert ours.flags.c_contiguous
    theirs = reference(ImageOps.exif_transpose(picture(name)).convert("RGB"))
    np.testing.assert_allclose(ours, theirs, atol=ONE_LEVEL * 1.01)
    assert np.abs(ours - theirs).mean() < ONE_LEVEL / 50


@pytest.mark.parametrize(
    "size",
    [
        (427, 640),
        (640, 427),
        (4000, 6000),
        (64, 64),
        (227, 227),
        (256, 256),
        (257, 256),
        (255, 333),
        (31, 97),
    ],
)
def test_every_size_equals_torchvision(size: tuple[int, int]) -> None:
    image = picture("rocket.jpg").resize(size, Image.Resampling.BICUBIC)
    ours, theirs = to_tensor(image, SPEC), reference(image)
    np.testing.assert_allclose(ours, theirs, atol=ONE_LEVEL * 1.01)
    assert np.abs(ours - theirs).mean() < ONE_LEVEL / 20


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (5, 300), (1, 400), (400, 1)])
def test_ribbons_equal_torchvision(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    np.testing.assert_allclose(to_tensor(image, SPEC), reference(image), atol=ONE_LEVEL * 1.01)


def test_other_input_size_mean_and_deviation_equal_torchvision() -> None:
    spec = InputSpec(72, 64, (0.5, 0.4, 0.3), (0.25, 0.5, 1.0))
    image = picture("coffee.png").convert("RGB")
    np.testing.assert_allclose(to_tensor(image, spec), reference(image, spec), atol=1.01 / 255 / 0.25)


@pytest.mark.parametrize("size", [(1, 1), (1, 65000), (65000, 1), (3012, 5), (1, 4000)])
def test_ribbons_take_bounded_memory(size: tuple[int, int]) -> None:
    data = encoded(Image.new("RGB", size, (10, 200, 30)), "PNG")
    tracemalloc.start()
    tensor = preprocess(data, SPEC)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tensor.shape == (3, 227, 227)
    assert tensor.std(axis=(1, 2)).max() < 1e-6, "a picture of one colour stays of one colour"
    assert peak < 32 * 1024 * 1024
    left, top, right, bottom = crop_box(*size, SPEC)
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]


def test_resizing_never_makes_the_ribbon_longer() -> None:
    # Pillow's buffers are outside tracemalloc: the guard is that no picture beyond the crop is ever made.
    made: list[tuple[int, int]] = []

    class Watched(Image.Image):
        pass

    image = Image.new("RGB", (65000, 1))
    original = Image.Image.resize

    def resize(self: Image.Image, size: tuple[int, int], *rest: object) -> Image.Image:
        made.append(size)
        return original(self, size, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "resize", resize)
        assert to_pixels(image, SPEC).shape == (227, 227, 3)
    assert made == [(227, 227)]


@needs_weights
@pytest.mark.parametrize("make", [TorchEngine, OpenVINOEngine])
def test_imagenet_answers_equal_the_published_ones(make: Callable[[Artifact], Engine]) -> None:
    weights = artifact.load(weights_path())
    engine = make(weights)
    published = {
        "chelsea.png": (285, "Egyptian cat", 0.7141),
        "coffee.png": (967, "espresso", 0.8709),
        "camera.png": (872, "tripod", 0.9934),
        "hubble_deep_field.jpg": (971, "bubble", 0.9314),
        "rocket.jpg": (733, "pole", 0.7554),
    }
    for name, (class_id, label, probability) in published.items():
        logits = engine.classify_pixels(to_pixels(decode(picture_bytes(name)), weights.config.input)[None])[0]
        best = top_k(logits, weights.labels, 1)[0]
        assert (best.class_id, best.label) == (class_id, label), name
        assert best.probability == pytest.approx(probability, abs=1e-3), name


@needs_weights
@pytest.mark.parametrize("name", ["chelsea.png", "rocket.jpg"])
def test_probabilities_equal_torchvisions_preprocessing(name: str) -> None:
    weights = artifact.load(weights_path())
    engine = TorchEngine(weights)
    image = picture(name).convert("RGB").resize((1500, 1000), Image.Resampling.BICUBIC)
    data = encoded(image, "JPEG", quality=92)
    batch = np.stack([preprocess(data, SPEC), reference(Image.open(io.BytesIO(data)))])
    ours, theirs = (top_k(logits, weights.labels, 1000) for logits in engine.classify_tensors(batch))
    assert [p.class_id for p in ours[:2]] == [p.class_id for p in theirs[:2]]
    by_id = {p.class_id: p.probability for p in theirs}
    assert max(abs(p.probability - by_id[p.class_id]) for p in ours) < 0.01
