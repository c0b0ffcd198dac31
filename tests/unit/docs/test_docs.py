"""The documentation says what is so: its links, commands, samples and names exist."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml
from unit.docs import markdown
from unit.docs.markdown import REPO

FILES = markdown.files()
OWN = [path for path in FILES if path == REPO / "README.md" or REPO / "docs" in path.parents]
FORBIDDEN = {
    "the number of an issue": r"(?<![\w/&])#\d+\b|\b[\w.-]+#\d+\b|/(issues|pull)/\d+",
    "a path of some machine": r"(?<![\w.~])/(work|root|home)/",
    "a registry's host": r"\b(pypi\.org|pythonhosted\.org|(proxy|sum)\.golang\.org|registry\.k8s\.io"
    r"|docker\.io/|registry-1\.docker\.io|ghcr\.io|quay\.io|gcr\.io|deb\.debian\.org|registry\.npmjs\.org)",
}
# Folders whose files the documentation names by path.
TREES = (
    "charts",
    "cluster",
    "docs",
    "images",
    "manifests",
    "operator",
    "predictor",
    "requirements",
    "tests",
    "trainer",
)


def named(path: Path) -> str:
    """A test's id for a file."""
    return str(path.relative_to(REPO))


def forbidden(text: str) -> list[str]:
    """What a text must not hold, and where it does."""
    return [
        f"{what}: {match[0]}" for what, pattern in FORBIDDEN.items() for match in re.finditer(pattern, text)
    ]


def strict(schema: Any) -> Any:
    """A structural schema that refuses unknown fields, where the API server would drop them."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if isinstance(made.get("properties"), dict) and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


def validator_of(plural: str) -> jsonschema.Draft202012Validator:
    """Validates objects of a CRD, CEL rules apart."""
    crd = yaml.safe_load((REPO / "manifests" / "crds" / f"{plural}.yaml").read_text())
    return jsonschema.Draft202012Validator(strict(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))


def test_there_is_something_to_check() -> None:
    names = {named(path) for path in FILES}
    assert {"README.md", "docs/operations.md", "docs/predictor.md", "docs/adr/README.md"} <= names


@pytest.mark.parametrize("path", FILES, ids=named)
def test_links_resolve(path: Path) -> None:
    assert markdown.broken_links(path) == []


@pytest.mark.parametrize("path", FILES, ids=named)
def test_holds_nothing_of_the_workshop(path: Path) -> None:
    assert forbidden(path.read_text()) == []


@pytest.mark.parametrize("path", FILES, ids=named)
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (REPO / "Makefile").read_text(), re.MULTILINE))
    used = {
        word for text in markdown.code(path.read_text()) for word in re.findall(r"\bmake ([a-z0-9]+)\b", text)
    }
    assert used <= targets


@pytest.mark.parametrize("path", OWN, ids=named)
def test_paths_exist(path: Path) -> None:
    pattern = rf"(?<![\w./~-])(?:{'|'.join(TREES)})/[\w./-]*\w"
    used = {word for text in markdown.code(path.read_text()) for word in re.findall(pattern, text)}
    assert [word for word in sorted(used) if not (REPO / word).exists()] == []


@pytest.mark.parametrize("path", FILES, ids=named)
def test_samples_parse_and_satisfy_the_api(path: Path) -> None:
    kinds = {kind: validator_of(f"{kind.lower()}s") for kind in ("SqueezeModel", "SqueezeTraining")}
    text = path.read_text()
    for block in markdown.blocks(text, "json"):
        json.loads(block.text)
    for block in markdown.blocks(text, "yaml"):
        for document in yaml.safe_load_all(block.text):
            if document.get("kind") in kinds:
                errors = kinds[document["kind"]].iter_errors(document)
                assert [error.message for error in errors] == []


def test_the_documentation_shows_a_model() -> None:
    shown = [block.text for path in OWN for block in markdown.blocks(path.read_text(), "yaml")]
    assert sum("kind: SqueezeModel" in text for text in shown) >= 3


@pytest.mark.parametrize("name", ["operator", "predictor"])
def test_the_image_recipe_gives_the_dockerfile_all_it_copies(name: str) -> None:
    """operations.md makes a build context of images/<name>, <name>, requirements and the CA bundle."""
    recipe = "cp -r images/$name/. $name requirements /etc/ssl/certs/ca-certificates.crt"
    assert recipe in (REPO / "docs" / "operations.md").read_text()
    given = {entry.name: entry for entry in (REPO / "images" / name).iterdir()}
    given |= {"requirements": REPO / "requirements", name: REPO / name, "ca-certificates.crt": REPO}
    for line in re.findall(r"^COPY (?!--from)(.+)$", given["Dockerfile"].read_text(), re.MULTILINE):
        for source in line.split()[:-1]:
            first, _, rest = source.partition("/")
            assert (given[first] / rest).exists(), source


def test_decision_records_are_listed_and_dated() -> None:
    folder = REPO / "docs" / "adr"
    index = (folder / "README.md").read_text()
    records = sorted(folder.glob("[0-9]*.md"))
    assert [path.name[:4] for path in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for path in records:
        text = path.read_text()
        title = text.splitlines()[0].removeprefix(f"# {path.name[:4]}: ")
        assert f"| [{path.name[:4]}]({path.name}) | {title} |" in index
        assert re.search(r"^Date: \d{4}-\d{2}-\d{2}\. Status: \w+", text, re.MULTILINE)
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]


def test_the_picture_is_a_whole_svg() -> None:
    root = ElementTree.parse(REPO / "docs" / "architecture.svg").getroot()
    assert root.tag.endswith("svg")
    assert root.get("viewBox")
    assert [child.tag.rpartition("}")[2] for child in root][:2] == ["title", "desc"]


# The checks themselves notice what they are for.


@pytest.mark.parametrize(
    "text",
    [
        "see #12",
        "kserve#4807",
        "owner/name/issues/7",
        "in /work/main",
        "/root/.cache",
        "ghcr.io/x",
        "docker.io/a",
    ],
)
def test_forbidden_words_are_noticed(text: str) -> None:
    assert forbidden(text)


@pytest.mark.parametrize(
    "text", ["docker.io, iptables", "~/work/x", "file.md#part-2", "# 0001: title", "localhost:5001/a"]
)
def test_ordinary_words_are_not(text: str) -> None:
    assert forbidden(text) == []


def test_broken_links_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A title, with `code`\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](other.md#a-title-with-code) [c](https://example.com/x) [d](#here)\n"
        "[e](gone.md) [f](other.md#gone)\n\n## Here\n\n```sh\n[g](not-a-link.md)\n```\n"
    )
    assert markdown.broken_links(page) == ["gone.md", "other.md#gone"]


@pytest.mark.parametrize("spec", [{}, {"weights": {"uri": "builtin://digits"}, "profil": "cost"}])
def test_wrong_samples_are_noticed(spec: dict[str, Any]) -> None:
    model = {
        "apiVersion": "squeezeserve.io/v1alpha1",
        "kind": "SqueezeModel",
        "metadata": {"name": "a"},
        "spec": spec,
    }
    assert list(validator_of("squeezemodels").iter_errors(model))
