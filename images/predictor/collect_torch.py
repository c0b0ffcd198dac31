"""Copies PyTorch from Debian's packages into a root folder: only what importing and running it need.

Runs in a build stage in which python3-torch is installed. Takes the Python trees
without tests, headers and programs, and of the system only the shared libraries that those trees load and
that the final image does not already have. Writes each source package's dpkg record and licence too, so
that a scanner still sees what is inside. Must not run in the final image.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

DIST_PACKAGES = Path("/usr/lib/python3/dist-packages")
# torchgen: torch imports its model.
TREES = ("torch", "torchgen", "functorch")
LEFT_OUT = re.compile(
    r"/(tests?|benchmarks|include|__pycache__)(/|$)"
    r"|^torch/bin/(?!torch_shm_manager$)"
    r"|^torch/(utils/benchmark|utils/model_dump|_inductor/codegen|_inductor/kernel)(/|$)"
    r"|^torch/testing/_internal/(?!(__init__|logging_tensor)\.py$)"
    r"|^torchvision/video_reader.*\.so$"
    r"|\.(pyi|h|hpp|cuh|cpp|a|cmake|js|html|yaml)$"
)
# Debian links PyTorch to the Z3 prover (28 MB) and uses no symbol of it. The library is linked to be bound
# whole when it is loaded, so should that change, `import torch` fails at once.
OVERLINKED = {"libtorch_cpu.so.2.6": "libz3.so.4"}
_LOADED = re.compile(r"=> (/\S+) \(")
_OWNER = re.compile(r"^([a-z0-9][a-z0-9+.-]*)(?::[a-z0-9]+)?: ")


def main() -> None:
    """Usage: collect_torch.py FILE-OF-KNOWN-PACKAGES ROOT-FOLDER [FURTHER-TREE...]."""
    known = set(Path(sys.argv[1]).read_text().split("\n"))
    root, trees = Path(sys.argv[2]), (*TREES, *sys.argv[3:])
    modules = copy_trees(root, trees)
    packages = copy_libraries(root, modules, known)
    for package in sorted(packages | {owner(DIST_PACKAGES / tree / "__init__.py") for tree in trees}):
        record_package(root, package)


def copy_trees(root: Path, trees: Iterable[str]) -> list[Path]:
    """Copy the Python trees; returns the compiled modules among them."""
    modules = []
    for tree in trees:
        for source in sorted((DIST_PACKAGES / tree).rglob("*")):
            name = source.relative_to(DIST_PACKAGES).as_posix()
            if LEFT_OUT.search(name) or source.is_dir():
                continue
            target = root / DIST_PACKAGES.relative_to("/") / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
            if ".so" in source.name:
                modules.append(source)
    return modules


def copy_libraries(root: Path, modules: list[Path], known: set[str]) -> set[str]:
    """Copy every library that the modules load, unless a known package has it; returns their packages."""
    linked = {f"{module.parent}/{module.readlink()}" for module in modules if module.is_symlink()}
    listing = subprocess.run(["ldd", *map(str, modules)], check=True, capture_output=True, text=True).stdout
    if "not found" in listing:
        sys.exit(f"collect_torch: a library is missing:\n{listing}")
    packages = set()
    for loaded in sorted(linked | set(_LOADED.findall(listing))):
        path = Path(loaded)
        real = path.resolve()
        package = owner(real)
        if f"{package} {version(package)}" in known or path.name in OVERLINKED.values():
            continue
        # Under the name that the loader asks for, with Debian's alternatives followed.
        target = root / path.parent.resolve().relative_to("/") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(real, target)
        if unused := OVERLINKED.get(path.name):
            subprocess.run(["patchelf", "--remove-needed", unused, target], check=True)
        packages.add(package)
    return packages


def owner(path: Path) -> str:
    """The Debian package that a file comes from."""
    found = subprocess.run(["dpkg", "-S", path], check=True, capture_output=True, text=True).stdout
    match = _OWNER.match(found)
    return match[1] if match else sys.exit(f"collect_torch: no package owns {path}: {found}")


def version(package: str) -> str:
    """The installed version of a package."""
    command = ["dpkg-query", "-W", "-f", "${Version}", package]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def record_package(root: Path, package: str) -> None:
    """Write a package's dpkg record where scanners look for partial installations, and its licence."""
    records = root / "var/lib/dpkg/status.d"
    records.mkdir(parents=True, exist_ok=True)
    record = subprocess.run(["dpkg-query", "-s", package], check=True, capture_output=True, text=True).stdout
    (records / package).write_text(record)
    licence = Path("/usr/share/doc", package, "copyright")
    if licence.exists():
        target = root / licence.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(licence.resolve(), target)


if __name__ == "__main__":
    main()
