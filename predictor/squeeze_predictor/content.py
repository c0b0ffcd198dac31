"""What a request body is (JSON, a raw picture, a multipart form), from its Content-Type and first bytes.

curl sends `application/x-www-form-urlencoded` for --data-binary and nothing for --upload-file, so those
types say nothing about the body and its first bytes decide. Pure.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from squeezenet.pictures import FORMATS, sniff

from squeeze_predictor.errors import ApiError, bad_request
from squeeze_predictor.network import Picture
from squeeze_predictor.protocol_v1 import check_count

# Types that clients send without having chosen them.
UNSAID = frozenset(
    {"", "application/octet-stream", "application/x-www-form-urlencoded", "binary/octet-stream"}
)


class Kind(Enum):
    """How the body of a predict request is read."""

    JSON = "json"
    PICTURE = "picture"
    MULTIPART = "multipart"


def kind_of(content_type: str, body: bytes, path: str) -> Kind:
    """The kind of a body. Raises ApiError 415 with a command that works."""
    media = media_type(content_type)
    if media == "application/json" or media.endswith("+json"):
        return Kind.JSON
    if media.startswith("image/"):
        return Kind.PICTURE
    if media == "multipart/form-data":
        return Kind.MULTIPART
    if media in UNSAID:
        if body.lstrip()[:1] in (b"{", b"["):
            return Kind.JSON
        # An octet stream was meant as a picture, even a damaged one; a form was only if it looks like one.
        if media != "application/x-www-form-urlencoded" or not body or sniff(body) in FORMATS:
            return Kind.PICTURE
    raise ApiError(
        415,
        "MediaTypeUnsupported",
        "send a picture or JSON, for example: curl --data-binary @cat.jpg -H 'Content-Type: image/jpeg' "
        f"http://HOST{path}",
        field="Content-Type",
    )


def media_type(content_type: str) -> str:
    """The type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def multipart_pictures(content_type: str, body: bytes, max_batch: int) -> list[Picture]:
    """The files of a multipart form, in order; its plain fields are not pictures and are refused.

    Raises ApiError 400 when the form is damaged, empty or has too many parts.
    """
    boundary = parse_options_header(content_type.encode("latin-1", "replace"))[1].get(b"boundary")
    if not boundary:
        raise bad_request("MultipartInvalid", "the multipart Content-Type has no boundary", "Content-Type")
    collector = _Parts(max_batch)
    try:
        parser = MultipartParser(boundary, callbacks=collector.callbacks())
        parser.write(body)
    except (FormParserError, ValueError):
        raise bad_request("MultipartInvalid", "the multipart body is damaged", "body") from None
    if body and not collector.complete:
        raise bad_request("MultipartInvalid", "the multipart body ends before its closing boundary", "body")
    check_count(len(collector.parts), max_batch, "form")
    return [Picture(bytes(part), f"part[{index}]") for index, part in enumerate(collector.parts)]


class _Parts:
    """Gathers the content of each part; stops at the first one too many."""

    def __init__(self, limit: int) -> None:
        self.parts: list[bytearray] = []
        self.complete = False
        self._limit = limit

    def callbacks(self) -> Any:
        return {"on_part_begin": self._begin, "on_part_data": self._data, "on_end": self._end}

    def _begin(self) -> None:
        if len(self.parts) == self._limit:
            raise bad_request("BatchTooLarge", f"the form has more than {self._limit} parts", "form")
        self.parts.append(bytearray())

    def _end(self) -> None:
        # The parser itself takes a form that stops half-way for a whole one.
        self.complete = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1] += data[start:end]
