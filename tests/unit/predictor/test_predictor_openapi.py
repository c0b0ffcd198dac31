"""The OpenAPI document: valid, and about exactly the routes and the reasons that the code has."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
import squeeze_predictor
import squeezenet
from openapi_spec_validator import OpenAPIV31SpecValidator
from squeeze_predictor import server
from squeeze_predictor.openapi import parts, refusals
from squeeze_predictor.openapi.document import document
from squeeze_predictor.protocol_v1 import parse as parse_v1
from squeeze_predictor.protocol_v2 import parse as parse_v2
from unit.predictor.predictor_app import ask, context

FACTS = parts.Facts("digits", 10, 64, 5, 4, 400_000, 500_000, 67_108_864)
# Nobody reads the first; the second stands in for what the framework raises by itself, which it never does.
UNLISTED = {"ClientLeft", "HttpError"}
RAISERS = {"ApiError", "bad_request", "too_large", "overloaded", "PictureError"}
REASON = re.compile(r"[A-Z][a-z0-9]+[A-Z]\w+")


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return document(FACTS)


def test_it_is_valid_openapi(described: dict[str, Any]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(described).iter_errors()] == []


def test_it_is_made_without_the_sdk() -> None:
    """Whose messages have the names of other clients': a process can import only one of the two."""
    code = "import sys, squeeze_predictor.openapi.document; sys.exit('kserve' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_is_json(described: dict[str, Any]) -> None:
    assert orjson.loads(orjson.dumps(described)) == described


def methods(route: Any) -> set[str]:
    """The methods that a route answers."""
    if route.methods is not None:
        return set(route.methods)
    return {method for method in ("GET", "HEAD", "POST", "PUT") if hasattr(route.endpoint, method.lower())}


def test_it_lists_the_routes_of_the_application_and_no_other(described: dict[str, Any]) -> None:
    routes = server.build_app(context()).routes
    served = {(route.path, method) for route in routes for method in methods(route)}  # type: ignore[attr-defined]
    listed = {
        (path, method.upper())
        for path, item in described["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert listed == served


def constructed(path: Path) -> set[str]:
    """The reasons that a module raises."""
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    arguments = (
        argument
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in RAISERS
        for argument in [*call.args, *(keyword.value for keyword in call.keywords)]
    )
    texts = (argument.value for argument in arguments if isinstance(argument, ast.Constant))
    return {text for text in texts if isinstance(text, str) and REASON.fullmatch(text)}


def test_the_reasons_are_those_of_the_code() -> None:
    modules = Path(squeeze_predictor.__file__).parent.rglob("*.py")
    pictures = Path(squeezenet.__file__).parent / "pictures.py"
    raised = {reason for path in [*modules, pictures] for reason in constructed(path)}
    listed = [reason for reasons in refusals.REASONS.values() for reason in reasons]
    assert sorted(listed) == sorted(raised - UNLISTED)


def test_every_reference_leads_somewhere(described: dict[str, Any]) -> None:
    def references(node: Any) -> set[str]:
        if isinstance(node, list):
            return {found for item in node for found in references(item)}
        if not isinstance(node, dict):
            return set()
        own = {node["$ref"]} if "$ref" in node else set()
        return own | {found for item in node.values() for found in references(item)}

    kinds = described["components"]
    known = {f"#/components/{kind}/{name}" for kind, entries in kinds.items() for name in entries}
    # 405 belongs to no operation.
    assert known - references(described["paths"]) - references(kinds) == {"#/components/responses/Refusal405"}
    assert references(described) <= known


def test_the_examples_are_requests() -> None:
    paths = document(FACTS)["paths"]
    v1 = paths["/v1/models/{model_name}:predict"]["put"]["requestBody"]["content"]["application/json"]
    (picture,) = parse_v1(orjson.dumps(v1["examples"]["one picture"]["value"]), 1, 1000)
    v2 = paths["/v2/models/{model_name}/infer"]["post"]["requestBody"]["content"]["application/json"]
    request = parse_v2(orjson.dumps(v2["examples"]["one picture"]["value"]), None, "digits", 1000)
    assert request.inputs[0].data == [picture.data]


async def test_a_server_that_loads_has_no_description_yet() -> None:
    answer = await ask(server.build_app(context()), "GET", "/openapi.json")
    assert answer.status == 503
    assert orjson.loads(answer.body)["error"]["reason"] == "NotReady"
