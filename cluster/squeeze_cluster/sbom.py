"""`make sbom`: CycloneDX bills of materials of the images and of the Python distribution.

An image's own Python and dpkg databases say what is in it, so nothing is listed that was left out of it.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterable
from typing import NamedTuple

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from squeeze_cluster import catalogue, images, paths, shell
from squeeze_cluster.images import Image
from squeeze_cluster.settings import Settings

_LIST = """
import glob, importlib.metadata as metadata, json
found = [("pypi", d.metadata["Name"].lower(), d.version) for d in metadata.distributions()]
for file in ["/var/lib/dpkg/status", *glob.glob("/var/lib/dpkg/status.d/*")]:
    for block in open(file, encoding="utf-8").read().split("\\n\\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and line[0] != " ")
        if "Package" in fields and fields.get("Status", "install ok installed").endswith(" installed"):
            found.append(("deb", fields["Package"], fields["Version"]))
print(json.dumps(sorted(set(found))))
"""


class Package(NamedTuple):
    """What an image's databases say of one package: type is deb or pypi, as in package URLs."""

    type: str
    name: str
    version: str


def main() -> int:
    """Write out/sbom/*.cdx.json; builds images that are not there."""
    folder, settings = paths.REPO / "out" / "sbom", Settings()
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in product_images().items():
        images.ensure(image, settings)
        version = image.reference.rpartition(":")[2]
        text = bill(ComponentType.CONTAINER, name, version, packages(image.reference))
        (folder / f"{name}.cdx.json").write_text(text)
    (folder / "squeezeserve.cdx.json").write_text(distribution())
    print(*sorted(folder.iterdir()), sep="\n")
    return 0


def product_images() -> dict[str, Image]:
    """The images that the product runs in production, by name."""
    return {
        "operator": catalogue.product("operator"),
        "predictor": catalogue.product("predictor"),
        "trainer": catalogue.product("trainer"),
        "storage-initializer": catalogue.storage_initializer(),
    }


def packages(reference: str) -> list[Package]:
    """The packages in an image that has a Python, sorted."""
    command = (
        "docker",
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "python3",
        reference,
        "-c",
        _LIST,
    )
    return [Package(*entry) for entry in json.loads(shell.run(*command))]


def distribution() -> str:
    """The bill of the Python distribution with all its extras, from the lock that pins them."""
    project = tomllib.loads((paths.REPO / "pyproject.toml").read_text())["project"]
    lock = (paths.REPO / "requirements" / "dev.lock").read_text()
    found = re.findall(r"^([\w.-]+)(?:\[.*?\])?==(\S+)", lock, re.MULTILINE)
    content = sorted({Package("pypi", name, version) for name, version in found})
    return bill(ComponentType.APPLICATION, project["name"], project["version"], content)


def bill(kind: ComponentType, name: str, version: str, content: Iterable[Package]) -> str:
    """CycloneDX 1.6, in JSON, of something made of these packages."""
    root = Component(name=name, version=version, type=kind, bom_ref=name)
    bom = Bom(components=[_component(package) for package in content])
    bom.metadata.component = root
    bom.register_dependency(root, bom.components)
    return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def _component(package: Package) -> Component:
    namespace = "debian" if package.type == "deb" else None
    url = PackageURL(package.type, namespace, package.name, package.version)
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        purl=url,
        bom_ref=url.to_string(),
    )


if __name__ == "__main__":
    sys.exit(main())
