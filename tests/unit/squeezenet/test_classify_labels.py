"""Softmax, top-k and labels."""

from __future__ import annotations

import numpy as np
import pytest
from squeezenet import labels
from squeezenet.classify import softmax, top_k
from squeezenet.errors import LabelsError


def test_softmax_of_large_logits_neither_overflows_nor_loses_the_sum() -> None:
    probabilities = softmax(np.array([[1e4, 1e4, -1e4]], np.float32))
    np.testing.assert_allclose(probabilities, [[0.5, 0.5, 0.0]])


def test_top_k_orders_by_probability_then_class_id() -> None:
    found = top_k(np.array([1.0, 3.0, 1.0, 2.0], np.float32), ["a", "b", "c", "d"], 4)
    assert [p.class_id for p in found] == [1, 3, 0, 2]
    assert [p.label for p in found] == ["b", "d", "a", "c"]
    assert sum(p.probability for p in found) == pytest.approx(1.0)


def test_k_above_the_number_of_classes_gives_all() -> None:
    assert len(top_k(np.zeros(3, np.float32), "abc", 1000)) == 3
    assert len(top_k(np.zeros(3, np.float32), "abc", 1)) == 1


@pytest.mark.parametrize("k", [0, -1])
def test_k_below_one_is_refused(k: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        top_k(np.zeros(3, np.float32), "abc", k)


def test_logits_that_do_not_fit_the_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        top_k(np.zeros(2, np.float32), "abc", 1)
    with pytest.raises(ValueError, match="do not fit"):
        top_k(np.zeros((1, 3), np.float32), "abc", 1)


def test_imagenet_labels_are_torchvisions() -> None:
    from torchvision.models import SqueezeNet1_0_Weights

    assert list(labels.imagenet()) == SqueezeNet1_0_Weights.DEFAULT.meta["categories"]


def test_labels_file_with_bom_crlf_and_trailing_blank_lines() -> None:
    assert labels.parse("\ufeffcat\r\nDürüm kebap\r\n\r\n".encode()) == ("cat", "Dürüm kebap")


@pytest.mark.parametrize(
    ("data", "named"),
    [(b"", "empty"), (b"\n\n", "empty"), (b"a\n\nb\n", "line 2"), (b"caf\xe9\n", "UTF-8")],
)
def test_unusable_labels_are_refused(data: bytes, named: str) -> None:
    with pytest.raises(LabelsError, match=named):
        labels.parse(data)


def test_default_labels() -> None:
    assert labels.default_labels(1000)[285] == "Egyptian cat"
    assert labels.default_labels(2) == ("class 0", "class 1")
