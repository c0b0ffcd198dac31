"""Bills of materials: valid by CycloneDX's own schema, and about what was put in."""

import json

from cyclonedx.model.component import ComponentType
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from squeeze_cluster import paths, sbom
from squeeze_cluster.sbom import Package

CONTENT = [Package("deb", "libc6", "2.41-12"), Package("pypi", "kopf", "1.45.2")]


def findings(text: str) -> object:
    """What CycloneDX's schema finds wrong; None where nothing is."""
    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)


def test_an_images_bill_is_valid_and_names_its_packages() -> None:
    text = sbom.bill(ComponentType.CONTAINER, "operator", "abc", CONTENT)
    assert findings(text) is None
    document = json.loads(text)
    assert document["metadata"]["component"]["name"] == "operator"
    urls = {component["purl"] for component in document["components"]}
    assert urls == {"pkg:deb/debian/libc6@2.41-12", "pkg:pypi/kopf@1.45.2"}


def test_the_schema_refuses_what_is_no_bill() -> None:
    document = json.loads(sbom.bill(ComponentType.CONTAINER, "operator", "abc", CONTENT))
    del document["components"][0]["name"]
    assert findings(json.dumps(document)) is not None


def test_the_distributions_bill_is_valid_and_pins_what_the_lock_pins() -> None:
    text = sbom.distribution()
    assert findings(text) is None
    document = json.loads(text)
    assert document["metadata"]["component"]["name"] == "squeezeserve"
    lock = (paths.REPO / "requirements" / "dev.lock").read_text().splitlines()
    names = {line.partition("==")[0] for line in lock if "==" in line and not line.startswith((" ", "#"))}
    assert len(names) > 100
    assert names == {component["name"] for component in document["components"]}
