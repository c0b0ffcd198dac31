"""KServe's V1 protocol, and raw pictures: request bodies to pictures, predictions to answers.

Pure: bytes and plain values in and out; no server, no network.
Source: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import orjson
from squeezenet.classify import Prediction

from squeeze_predictor.errors import ApiError, bad_request, shown, too_large
from squeeze_predictor.network import Picture

FORM = '{"instances": [{"b64": "<base64 of a picture>"}]}'
# Samples of KServe and of TensorFlow Serving wrap the picture in one of these.
WRAPPERS = ("image", "image_bytes")
_WHITESPACE = b" \t\r\n"


def parse(body: bytes, max_batch: int, max_bytes: int) -> list[Picture]:
    """The pictures of a V1 JSON body, in order. Raises ApiError naming the field at fault."""
    document = load_json(body, FORM)
    instances = document.get("instances")
    if not isinstance(instances, list):
        raise bad_request("RequestInvalid", f"'instances' must be a list; the form is {FORM}", "instances")
    check_count(len(instances), max_batch, "instances")
    return [_picture(instance, index, max_bytes) for index, instance in enumerate(instances)]


def check_count(count: int, max_batch: int, field: str) -> None:
    """Refuse an empty or oversized list before anything in it is decoded."""
    if count == 0:
        raise bad_request("BatchEmpty", f"'{field}' is empty; send at least one picture", field)
    if count > max_batch:
        raise bad_request(
            "BatchTooLarge", f"'{field}' holds {count} pictures; at most {max_batch} are answered", field
        )


def load_json(body: bytes, form: str) -> dict[str, Any]:
    """The JSON object in `body`. Raises ApiError 400 showing the right form."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(
            "JsonInvalid",
            f"the body is not JSON (line {error.lineno}, column {error.colno}); the form is {form}",
        ) from None
    if not isinstance(document, dict):
        raise bad_request("RequestInvalid", f"the body must be a JSON object; the form is {form}")
    return document


def decode_base64(text: object, field: str, max_bytes: int) -> bytes:
    """The bytes of a base64 string (RFC 4648, line breaks allowed). Raises ApiError 400 or 413."""
    if not isinstance(text, str):
        raise bad_request("Base64Invalid", f"{field} must be a string of base64", field)
    try:
        compact = text.encode("ascii").translate(None, _WHITESPACE)
    except UnicodeEncodeError:
        raise bad_request("Base64Invalid", f"{field} holds characters that are not base64", field) from None
    if len(compact) // 4 * 3 > max_bytes + 2:
        raise too_large(f"{field} is larger than {max_bytes} bytes", field, "PictureTooLarge")
    try:
        return base64.b64decode(compact, validate=True)
    except binascii.Error:
        hint = "; leave out the 'data:…,' part" if text.startswith("data:") else ""
        raise bad_request(
            "Base64Invalid", f"{field} is not base64 (RFC 4648, section 4){hint}", field
        ) from None


def answer(predictions: Sequence[Sequence[Prediction]]) -> bytes:
    """The V1 JSON body: for each picture the best class, and under `top_k` all asked for."""
    return orjson.dumps({"predictions": [_entry(best_first) for best_first in predictions]})


def _picture(instance: object, index: int, max_bytes: int) -> Picture:
    field = f"instances[{index}]"
    if isinstance(instance, dict):
        for wrapper in WRAPPERS:
            if set(instance) == {wrapper} and isinstance(instance[wrapper], dict):
                instance, field = instance[wrapper], f"{field}.{wrapper}"
                break
    if not isinstance(instance, dict) or "b64" not in instance:
        raise bad_request(
            "RequestInvalid", f'{field} must be an object {{"b64": "<base64 of a picture>"}}', field
        )
    unknown = sorted(set(instance) - {"b64"})
    if unknown:
        raise bad_request("RequestInvalid", f"{field} holds the unknown key {shown(unknown[0])}", field)
    return Picture(decode_base64(instance["b64"], f"{field}.b64", max_bytes), f"{field}.b64")


def _entry(best_first: Sequence[Prediction]) -> dict[str, object]:
    top = [_plain(prediction) for prediction in best_first]
    return {**top[0], "top_k": top}


def _plain(prediction: Prediction) -> dict[str, object]:
    return {
        "class_id": prediction.class_id,
        "label": prediction.label,
        "probability": prediction.probability,
    }


def parse_top_k(text: str | None) -> int | None:
    """`?top_k=` as a whole number; None if absent. Raises ApiError 400."""
    if text is None:
        return None
    # int() would also take "1_0", " 1" and digits of other scripts.
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise ApiError(400, "TopKInvalid", "top_k must be a whole number, 1 or more", field="top_k")
    return int(text)
