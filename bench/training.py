"""`make benchtraining`: pictures a second of our trainer beside torchvision's reference recipe, on one core.

The same network, pictures, augmentation, batch and optimiser, in turns, so that all meet the same machine;
ours once in the precision that it picks by itself, and once in float32 as the reference. Then where the time
goes, in milliseconds a picture. The reference is written as torchvision's references/classification/train.py
does it: ImageFolder, transforms v2, the model zoo's network, one backward pass a batch.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torchvision
from squeeze_trainer import augmentation, listing, network, optimise
from squeeze_trainer.dataset import Pictures, loader
from squeeze_trainer.distributed import Group
from squeeze_trainer.sampler import TrainingKeys
from squeeze_trainer.settings import Augmentation, DataSettings, Precision, Recipe
from squeeze_trainer.step import CPU_MICRO_BATCH, Stepper, precision
from squeeze_trainer.store import Store
from squeezenet.config import InputSpec
from squeezenet.preprocess import decode
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision.transforms import InterpolationMode, v2

from bench import pictures, processes

OUT = processes.REPO / "bench" / "out"
SPEC, CHANGES = InputSpec(), Augmentation()
RECIPE = Recipe(mode="train", batch=32)
OURS: dict[str, Precision] = {"squeeze_trainer": "auto", "squeeze_trainer, float32": "float32"}
CLASSES, COPIES, STEPS, ROUNDS = 3, 32, 1, 5
Step = Callable[[], int]


def main() -> None:
    """Measures in turns, and writes a JSON file and a table."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        root = write(Path(folder))
        steps = {name: ours(root, precision) for name, precision in OURS.items()} | {
            "torchvision": reference(root)
        }
        rates: dict[str, list[float]] = {name: [] for name in steps}
        for step in steps.values():
            step()
        for _ in range(ROUNDS):
            for name, step in steps.items():
                rates[name].append(rate(step))
        parts = {name: our_parts(root, precision) for name, precision in OURS.items()} | {
            "torchvision": reference_parts(root)
        }
    results = {"rates": rates, "parts_ms": parts, "batch": RECIPE.batch, "torch": torch.__version__}
    (OUT / "training.json").write_text(json.dumps(results, indent=2))
    print(table(rates, parts))


def write(root: Path) -> Path:
    """JPEG files of 600x400, 451x300 and 1920x1080 pixels, one class each, all in ``train``."""
    for picture in pictures.load():
        folder = root / "train" / picture.name
        folder.mkdir(parents=True)
        for index in range(COPIES):
            (folder / f"{index}.jpg").write_bytes(picture.data)
    return root


def ours(root: Path, wanted: Precision) -> Step:
    """One step of our trainer on the next batch, loaded in this process."""
    recipe = replace(RECIPE, precision=wanted)
    model = network.create(RECIPE.architecture, CLASSES, RECIPE.dropout, 0)
    optimizer = optimise.optimiser(RECIPE, model.parameters())
    group = Group()
    stepper = Stepper(model, optimizer, recipe, network.Normaliser(SPEC, group.device), group)
    stepper.freeze(False)

    def batches() -> Iterator[Any]:
        found = listing.load(DataSettings(str(root))).train
        rows = Pictures(found, Store(str(root)), SPEC, CHANGES, 0)
        for epoch in range(10**6):
            yield from loader(rows, TrainingKeys(0, epoch, len(found), RECIPE.batch, 0, 0, 1), 0, pin=False)

    endless = batches()

    def step() -> int:
        batch = next(endless)
        stepper.step(batch, len(batch), 0, RECIPE.learning_rate, lambda: False)
        return len(batch)

    return step


def transform() -> Any:
    """The reference's transforms, with our augmentation."""
    return v2.Compose(
        [
            v2.RandomResizedCrop(SPEC.crop, scale=CHANGES.area, ratio=CHANGES.aspect, antialias=True),
            v2.RandomRotation(CHANGES.rotation, interpolation=InterpolationMode.BILINEAR),
            v2.RandomHorizontalFlip(CHANGES.flip),
            v2.PILToTensor(),
            v2.ToDtype(torch.float, scale=True),
            v2.Normalize(mean=list(SPEC.mean), std=list(SPEC.std)),
        ]
    )


def reference_network() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """The model zoo's network and the recipe's optimiser."""
    model: torch.nn.Module = torchvision.models.squeezenet1_0(num_classes=CLASSES)
    return model.train(), torch.optim.SGD(
        model.parameters(), RECIPE.learning_rate, momentum=RECIPE.momentum, weight_decay=RECIPE.weight_decay
    )


def reference(root: Path) -> Step:
    """One step of the reference on the next batch, loaded in this process."""
    model, optimizer = reference_network()
    dataset = torchvision.datasets.ImageFolder(str(root / "train"), transform())

    def batches() -> Iterator[Any]:
        while True:
            yield from DataLoader(dataset, batch_size=RECIPE.batch, shuffle=True)

    endless = batches()

    def step() -> int:
        images, labels = next(endless)
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return len(labels)

    return step


def rate(step: Step) -> float:
    """Pictures a second over a few steps."""
    began = time.perf_counter()
    count = sum(step() for _ in range(STEPS))
    return count / (time.perf_counter() - began)


def our_parts(root: Path, wanted: Precision) -> dict[str, float]:
    """Milliseconds a picture of each part of our step."""
    data = [path.read_bytes() for path in sorted((root / "train").glob("*/0.jpg"))]
    images = [decode(one) for one in data]
    change = augmentation.transforms(CHANGES, SPEC)
    normalise = network.Normaliser(SPEC, torch.device("cpu"))
    pixels = torch.randint(0, 256, (CPU_MICRO_BATCH, SPEC.crop, SPEC.crop, 3), dtype=torch.uint8)
    model = network.create(RECIPE.architecture, CLASSES, RECIPE.dropout, 0).train()
    in_bfloat16 = precision(replace(RECIPE, precision=wanted), torch.device("cpu")) == "bfloat16"
    return {
        "decode": each(lambda: [decode(one) for one in data], len(data)),
        "augment": each(lambda: [augmentation.augment(change, image, 0) for image in images], len(images)),
        "normalise": each(lambda: normalise(pixels), len(pixels)),
        **network_parts(model, normalise(pixels), in_bfloat16),
    }


def reference_parts(root: Path) -> dict[str, float]:
    """Milliseconds a picture of each part of the reference's step; its normalisation is a part of augment."""
    paths = [str(path) for path in sorted((root / "train").glob("*/0.jpg"))]
    images = [torchvision.datasets.folder.default_loader(path) for path in paths]
    change = transform()
    model, _ = reference_network()
    inputs = torch.rand(RECIPE.batch, 3, SPEC.crop, SPEC.crop)
    return {
        "decode": each(
            lambda: [torchvision.datasets.folder.default_loader(path) for path in paths], len(paths)
        ),
        "augment": each(lambda: [change(image) for image in images], len(images)),
        **network_parts(model, inputs, in_bfloat16=False),
    }


def network_parts(model: torch.nn.Module, inputs: torch.Tensor, in_bfloat16: bool) -> dict[str, float]:
    """Milliseconds a picture of the forward and the backward pass."""
    labels = torch.zeros(len(inputs), dtype=torch.int64)

    def forward() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=in_bfloat16):
            logits = model(inputs)
        return functional.cross_entropy(logits.float(), labels)

    both = each(lambda: forward().backward(), len(inputs))  # type: ignore[no-untyped-call]
    alone = each(forward, len(inputs))
    return {"forward": alone, "backward": both - alone}


def each(work: Callable[[], object], count: int) -> float:
    """The median of milliseconds for each of ``count``, after one unmeasured run."""
    work()
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times) / count


def table(rates: dict[str, list[float]], parts: dict[str, dict[str, float]]) -> str:
    """The measurement as markdown; a ratio is the median of those of each turn."""
    lines = ["| trainer | pictures/s, one core | as a multiple of torchvision |", "| --- | --- | --- |"]
    for name, found in rates.items():
        ratio = statistics.median(
            mine / theirs for mine, theirs in zip(found, rates["torchvision"], strict=True)
        )
        lines.append(f"| {name} | {statistics.median(found):.1f} | {ratio:.2f} |")
    lines += ["", f"| part, ms a picture | {' | '.join(parts)} |", f"| --- {'| --- ' * len(parts)}|"]
    for name in ("decode", "augment", "normalise", "forward", "backward"):
        cells = [f"{found[name]:.2f}" if name in found else "–" for found in parts.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
