"""What a model makes of the training that it refers to: wait, serve, refuse, remember."""

from typing import Any

import pytest
from squeeze_operator.names import TRAINING_KIND, Key
from squeeze_operator.reasons import Reason
from squeeze_operator.references import References
from squeeze_operator.trained import resolve
from unit.operator_snapshots import seen

DIGEST = f"sha256:{'0123456789abcdef' * 4}"
REFERENCE = {"weights": {"trainingRef": {"name": "digits"}}}
ACCEPTED = {"name": "digits", "uri": "s3://old/model", "digest": DIGEST, "test": {"top1": 0.99}}


def training(ready: bool = True, stalled: bool = False, **measures: Any) -> dict[str, Any]:
    """A SqueezeTraining, trained unless said otherwise."""
    conditions = [
        {
            "type": "Ready",
            "status": str(ready),
            "reason": "Trained" if ready else "Training",
            "message": "3/9",
        },
        {"type": "Stalled", "status": str(stalled)},
    ]
    artifact = {"uri": "s3://new/model", "digest": DIGEST, "iterations": 9, **measures}
    return {"status": {"conditions": conditions, **({"artifact": artifact} if ready else {})}}


def test_a_spec_with_a_uri_is_left_as_it_is() -> None:
    found = resolve(seen())
    assert found.spec == {"weights": {"uri": "builtin://digits"}}
    assert found.fault is None
    assert found.training is None


def test_a_finished_training_gives_uri_and_digest() -> None:
    found = resolve(seen(REFERENCE, training=training(test={"top1": 0.98})))
    assert found.fault is None
    assert found.spec["weights"] == {"uri": "s3://new/model", "sha256": DIGEST}
    assert found.training == {
        "name": "digits",
        "uri": "s3://new/model",
        "digest": DIGEST,
        "test": {"top1": 0.98},
    }


@pytest.mark.parametrize(
    ("made", "reason", "part"),
    [
        (None, Reason.WAITING_FOR_TRAINING, "no SqueezeTraining digits"),
        ({}, Reason.WAITING_FOR_TRAINING, "not finished. Creating"),
        (training(ready=False), Reason.WAITING_FOR_TRAINING, "Training: 3/9"),
        (training(ready=False, stalled=True), Reason.TRAINING_FAILED, "does not go on"),
    ],
)
def test_an_unfinished_training_is_told(made: dict[str, Any] | None, reason: Reason, part: str) -> None:
    fault = resolve(seen(REFERENCE, training=made)).fault
    assert fault is not None
    assert fault.reason is reason
    assert part in fault.message


@pytest.mark.parametrize("made", [None, training(ready=False), training(ready=False, stalled=True)])
def test_what_was_accepted_is_served_while_there_is_nothing_newer(made: dict[str, Any] | None) -> None:
    found = resolve(seen(REFERENCE, training=made, status={"training": ACCEPTED}))
    assert found.fault is None
    assert found.spec["weights"]["uri"] == "s3://old/model"
    assert found.training == ACCEPTED


def test_what_was_accepted_under_another_name_is_not_served_anew() -> None:
    found = resolve(seen(REFERENCE, training=None, status={"training": ACCEPTED | {"name": "other"}}))
    assert found.fault is not None
    assert found.training == ACCEPTED | {"name": "other"}, "it is kept until another one is accepted"


@pytest.mark.parametrize(
    ("gate", "measures", "part"),
    [
        ({"minTop1": 0.97}, {"test": {"top1": 0.97}}, None),
        ({"minTop1": 0.97}, {"test": {"top1": 0.9123}}, "test top-1 of 0.9123, 0.0577 below"),
        (
            {"minTop1": 0.97, "split": "validation"},
            {"validation": {"top1": 0.5}},
            "validation top-1 of 0.5000",
        ),
        ({"minTop1": 0.97}, {"validation": {"top1": 1.0}}, "measured no test top-1"),
    ],
)
def test_the_gate_compares_the_recorded_measure(
    gate: dict[str, Any], measures: dict[str, Any], part: str | None
) -> None:
    found = resolve(
        seen(REFERENCE | {"gate": gate}, training=training(**measures), status={"training": ACCEPTED})
    )
    if part is None:
        assert found.fault is None
        return
    assert found.fault is not None
    assert found.fault.reason is Reason.GATE_NOT_PASSED
    assert part in found.fault.message
    assert found.training == ACCEPTED, "a refused artifact takes no place"


def test_models_are_found_by_the_training_that_they_name() -> None:
    references, one, two = References(), Key("team", "one"), Key("team", "two")
    references.note(one, {"spec": REFERENCE})
    references.note(two, {"spec": {"weights": {"uri": "builtin://digits"}}})
    assert references.to(Key("team", "digits", TRAINING_KIND)) == [one]
    assert references.to(Key("elsewhere", "digits", TRAINING_KIND)) == []
    references.note(one, {})
    assert references.to(Key("team", "digits", TRAINING_KIND)) == []
