"""Measures are those of scikit-learn, and exactly the same however pictures are shared out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)
from squeeze_trainer.metrics import Counts, Measures
from squeezenet.classify import softmax

CLASSES = 7


def answers(count: int = 200) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, count)
    logits = random.normal(size=(count, CLASSES)).astype(np.float32)
    logits[np.arange(count), labels] += 1
    return logits, labels


def test_measures_are_those_of_scikit_learn() -> None:
    logits, labels = answers()
    found, probabilities = Measures.of(Counts.of(logits, labels)), softmax(logits)
    guesses = logits.argmax(axis=1)
    precision, recall, _, support = precision_recall_fscore_support(labels, guesses)
    assert found.top1 == accuracy_score(labels, guesses)
    assert found.top5 == top_k_accuracy_score(labels, probabilities, k=5)
    assert found.loss == pytest.approx(log_loss(labels, probabilities), abs=1e-6)
    assert found.precision == pytest.approx(precision)
    assert found.recall == pytest.approx(recall)
    assert list(found.support) == list(support)
    np.testing.assert_array_equal(Counts.of(logits, labels).confusion, confusion_matrix(labels, guesses))


def test_calibration_error_is_the_mean_gap_between_confidence_and_right_answers() -> None:
    logits, labels = answers()
    probabilities = softmax(logits)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    expected = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert Measures.of(Counts.of(logits, labels)).ece == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_sums_over_parts_are_exact(parts: int) -> None:
    logits, labels = answers(101)
    whole = Counts.of(logits, labels)
    flat = sum(Counts.of(logits[part::parts], labels[part::parts]).flat() for part in range(parts))
    assert isinstance(flat, np.ndarray)
    assert Measures.of(whole.from_flat(flat)) == Measures.of(whole)


def test_no_pictures_count_nothing_and_absent_classes_have_no_share() -> None:
    logits, labels = answers(3)
    empty = Counts.of(logits[:0], labels[:0])
    assert Measures.of(empty + Counts.of(logits, labels)) == Measures.of(Counts.of(logits, labels))
    only = Measures.of(Counts.of(np.array([[3, 0, 0]], np.float32), np.array([0])))
    assert only.recall == (1.0, None, None)
    assert only.precision == (1.0, None, None)
    assert only.as_json(["a", "b", "b"])["classes"][2] == {
        "label": "b",
        "precision": None,
        "recall": None,
        "pictures": 0,
    }
