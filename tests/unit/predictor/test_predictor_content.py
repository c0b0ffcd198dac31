"""Which bodies are taken for what, and multipart forms."""

from __future__ import annotations

import pytest
from squeeze_predictor import content
from squeeze_predictor.content import Kind
from squeeze_predictor.errors import ApiError, shown

PNG = b"\x89PNG\r\n\x1a\n...."
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("application/json", PNG, Kind.JSON),
        ("application/json; charset=utf-8", b"", Kind.JSON),
        ("IMAGE/PNG", b"{", Kind.PICTURE),
        ("image/x-unheard-of", b"", Kind.PICTURE),
        ("", PNG, Kind.PICTURE),
        ("", b"", Kind.PICTURE),
        ("", b' {"instances": []}', Kind.JSON),
        ("application/octet-stream", b"damaged", Kind.PICTURE),
        (FORM, PNG, Kind.PICTURE),
        (FORM, b'{"instances": []}', Kind.JSON),
        ("multipart/form-data; boundary=b", b"", Kind.MULTIPART),
    ],
)
def test_kind(content_type: str, body: bytes, kind: Kind) -> None:
    assert content.kind_of(content_type, body, "/p") is kind


@pytest.mark.parametrize(("content_type", "body"), [("text/plain", PNG), (FORM, b"a=1"), ("video/mp4", b"")])
def test_other_types_are_refused_with_a_command(content_type: str, body: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        content.kind_of(content_type, body, "/v1/models/m:predict")
    assert caught.value.status == 415
    assert "curl --data-binary @cat.jpg" in caught.value.message
    assert "/v1/models/m:predict" in caught.value.message


def form(*parts: bytes, end: bytes = b"--b--\r\n") -> bytes:
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x.png"\r\n\r\n'
    return b"".join(head + part + b"\r\n" for part in parts) + end


def test_multipart_keeps_bytes_and_order() -> None:
    parts = [PNG, b"\r\n--not-the-boundary\r\n\x00"]
    pictures = content.multipart_pictures("multipart/form-data; boundary=b", form(*parts), 2)
    assert [picture.data for picture in pictures] == parts


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("multipart/form-data", form(PNG), "MultipartInvalid"),
        ("multipart/form-data; boundary=other", form(PNG), "MultipartInvalid"),
        ("multipart/form-data; boundary=b", form(PNG, PNG, PNG), "BatchTooLarge"),
        ("multipart/form-data; boundary=b", form(PNG)[:40], "MultipartInvalid"),
        ("multipart/form-data; boundary=b", b"", "BatchEmpty"),
    ],
)
def test_multipart_refusals(content_type: str, body: bytes, reason: str) -> None:
    with pytest.raises(ApiError) as caught:
        content.multipart_pictures(content_type, body, 2)
    assert (caught.value.status, caught.value.reason) == (400, reason)


def test_a_clients_word_is_shown_short_and_escaped() -> None:
    assert shown("a\nb\x1b[31mé") == "'a\\nb\\x1b[31m\\xe9'"
    assert len(shown("x" * 10_000)) < 80
