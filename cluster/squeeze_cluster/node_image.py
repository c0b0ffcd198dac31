"""The kind node: the public kindest/node where a registry serves it, otherwise one made here.

Ours is Debian with containerd, kind's own node files and Kubernetes built from its module, with the
control plane's images inside, as kind's image has them.
"""

import shutil
from pathlib import Path

from squeeze_cluster import gobuild, images, paths, shell, sources, waiting
from squeeze_cluster.errors import ClusterError
from squeeze_cluster.hashing import key_of
from squeeze_cluster.images import Image
from squeeze_cluster.settings import Settings

PUBLIC = "kindest/node:v1.34.0"
PACKAGES = (
    *(
        "ca-certificates",
        "systemd",
        "systemd-sysv",
        "dbus",
        "kmod",
        "procps",
        "mount",
        "util-linux",
        "hostname",
    ),
    *("iptables", "nftables", "iproute2", "conntrack", "ethtool", "socat", "ebtables", "ipset"),
    *("containerd", "runc", "containernetworking-plugins", "libseccomp2"),
    *("python3-minimal", "findutils", "curl", "pigz"),
)
_PROGRAMS = ("kubeadm", "kubelet", "kubectl")
_CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "coredns", "pause")
_CONTAINERD_PAUSE = "registry.k8s.io/pause:3.10"


def ensure(settings: Settings) -> str:
    """Have the engine hold a node image; returns its name."""
    if not settings.airgap and (images.image_id(PUBLIC) or sources.pull(PUBLIC, settings)):
        return PUBLIC
    image = _image()
    images.ensure(image, settings)
    return image.reference


def control_plane_images() -> list[Image]:
    """The images that kubeadm asks for, each under the name that it uses."""
    listed = shell.run(
        gobuild.build("kubeadm"),
        "config",
        "images",
        "list",
        "--kubernetes-version",
        gobuild.module_version("kubernetes"),
    ).split()
    made = []
    for reference in listed:
        program = reference.rpartition("/")[2].partition(":")[0]
        if program == "kube-proxy":
            made.append(_kube_proxy(reference))
        elif program in _CONTROL_PLANE:
            at = "/" if program in {"coredns", "pause"} else "/usr/local/bin"
            made.append(images.from_binary(program, reference, user="0", at=at))
        else:
            raise ClusterError(f"kubeadm asks for {reference}, which this tool cannot build")
    if _CONTAINERD_PAUSE not in listed:
        made.append(images.from_binary("pause", _CONTAINERD_PAUSE, user="0", at="/"))
    return made


def _image() -> Image:
    programs = [gobuild.binary_key(name) for name in (*_PROGRAMS, *_CONTROL_PLANE, "kube-proxy")]
    version = gobuild.module_version("kubernetes")

    def key() -> str:
        return key_of(gobuild.module_version("kind"), *PACKAGES, *programs)

    base = images.from_dockerfile("", paths.IMAGES / "node", _context, key, public=False)
    reference = f"squeezeserve/node:{version}-{base.key()}"
    return Image(reference, base.key, lambda name: _build(base, name), public=False)


def _build(base: Image, reference: str) -> None:
    settings = Settings(airgap=True)
    images.ensure(images.node_base(PACKAGES), settings)
    preloaded = control_plane_images()
    for image in preloaded:
        images.ensure(image, settings)
    base.build("squeezeserve/node:empty")
    _preload([image.reference for image in preloaded], reference)


def _context(work: Path) -> None:
    shutil.copytree(
        gobuild.module_dir("kind") / "images" / "base" / "files", work / "files", dirs_exist_ok=True
    )
    shell.run("chmod", "-R", "u+w", work / "files")
    (work / "bin").mkdir()
    for program in _PROGRAMS:
        shutil.copy(gobuild.build(program), work / "bin" / program)
    (work / "version").write_text(gobuild.module_version("kubernetes"))


def _preload(references: list[str], target: str) -> None:
    """Import images into the node's containerd and keep the result as `target`, as kind's own build does."""
    container = shell.run(
        "docker",
        "run",
        "--detach",
        "--privileged",
        "--entrypoint",
        "sleep",
        "squeezeserve/node:empty",
        "infinity",
    ).strip()
    try:
        shell.run("docker", "exec", "--detach", container, "containerd")
        _wait_for_containerd(container)
        archive = paths.cache_dir("build") / "control-plane.tar"
        shell.run("docker", "save", "--output", archive, *references)
        with archive.open("rb") as stream:
            shell.run(
                *("docker", "exec", "--interactive", container),
                *("ctr", "--namespace", "k8s.io", "images", "import", "--no-unpack", "--all-platforms", "-"),
                stdin=stream,
            )
        archive.unlink()
        shell.run("docker", "exec", container, "pkill", "containerd")
        entry = 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
        shell.run("docker", "commit", "--change", entry, container, target)
    finally:
        shell.run("docker", "rm", "--force", "--volumes", container)


def _wait_for_containerd(container: str) -> None:
    def answers() -> bool:
        return shell.succeeds("docker", "exec", container, "ctr", "version")

    waiting.until(answers, 30, "containerd did not start inside the node image")


def _kube_proxy(reference: str) -> Image:
    def context(work: Path) -> None:
        shutil.copy(gobuild.build("kube-proxy"), work / "kube-proxy")

    folder = paths.IMAGES / "kube-proxy"
    return images.from_dockerfile(reference, folder, context, lambda: gobuild.binary_key("kube-proxy"))
