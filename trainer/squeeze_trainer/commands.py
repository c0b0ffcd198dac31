"""What `squeezenet train | finetune | test` do once their options are read."""

from __future__ import annotations

import json

from squeezenet.terminal import printable

from squeeze_trainer import runs
from squeeze_trainer.metrics import Measures
from squeeze_trainer.settings import RunSettings, TestSettings


def train(settings: RunSettings) -> int:
    """Trains or fine-tunes; the leading process prints the artifact folder."""
    folder = runs.train(settings)
    if folder is not None:
        print(folder)
    return 0


def test(settings: TestSettings, as_json: bool) -> int:
    """Tests; the leading process prints the measures."""
    tested = runs.test(settings)
    if tested is None:
        return 0
    labels, measures = tested.artifact.labels, tested.evaluation.measures
    if as_json:
        document = {
            "model": settings.model,
            "digest": tested.artifact.digest,
            "data": settings.data.uri,
            "split": settings.split,
            **measures.as_json(labels),
            "confusion": tested.evaluation.counts.confusion.tolist(),
            "damaged": [list(one) for one in tested.evaluation.damage],
        }
        print(json.dumps(document, ensure_ascii=False, indent=2))
        return 0
    for name, cause in tested.evaluation.damage:
        print(printable(f"skipped {name}: {cause}"))
    print("\n".join(summary(measures, labels)))
    return 0


def summary(measures: Measures, labels: tuple[str, ...]) -> list[str]:
    """The measures for a person; classes without samples are told as such."""
    lines = [
        f"top-1 {measures.top1:.2%} · top-5 {measures.top5:.2%} · loss {measures.loss:.4f} · "
        f"calibration error {measures.ece:.4f} · {measures.pictures} pictures"
    ]
    for label, precision, recall, count in zip(
        labels, measures.precision, measures.recall, measures.support, strict=True
    ):
        if recall is None:
            lines.append(f"{'no samples':>28}  {printable(label)}")
        else:
            sure = "    –  " if precision is None else f"{precision:7.2%}"
            lines.append(f"{sure} precision {recall:7.2%} recall  {printable(label)} ({count})")
    return lines


test.__test__ = False  # type: ignore[attr-defined]  # Its name is the command's, and pytest must not collect it.
