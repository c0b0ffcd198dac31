"""A real API server and etcd, without nodes: what the chart's objects are validated by."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from squeeze_cluster.binaries import ensure_binary

TOKEN = "administrator"
START_SECONDS = 120


@dataclass(frozen=True)
class ApiServer:
    """Runs helm and kubectl against it; each raises CalledProcessError with the output it captured."""

    kubeconfig: Path

    def run(self, program: str, *arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
        """The standard output of a program; with check=False, the standard error follows it."""
        environment = os.environ | {"KUBECONFIG": str(self.kubeconfig), "HELM_DEBUG": "false"}
        command = [program, *map(str, arguments)]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, env=environment, check=False
        )
        if check:
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
            return done.stdout
        return done.stdout + done.stderr

    def kubectl(self, *arguments: str | Path, stdin: str | None = None, check: bool = True) -> str:
        """Run kubectl as a cluster administrator."""
        return self.run(str(ensure_binary("kubectl")), *arguments, stdin=stdin, check=check)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def running(folder: Path, name: str, *flags: str) -> Iterator[None]:
    """A program for as long as the block lasts; its log lies in the folder."""
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen([ensure_binary(name), *flags], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def etcd_flags(folder: Path, client: int, peer: int) -> list[str]:
    """One member that forgets everything, so needs no fsync."""
    url = f"http://127.0.0.1:{client}"
    urls = [f"--listen-client-urls={url}", f"--advertise-client-urls={url}"]
    return [
        f"--data-dir={folder / 'etcd'}",
        *urls,
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    ]


def api_server_flags(folder: Path, port: int, etcd: int) -> list[str]:
    """RBAC and Pod Security on; the ServiceAccount plugin off, since no controller makes accounts here."""
    key = folder / "service-account.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f"{TOKEN},admin,admin,system:masters\n")
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        f"--secure-port={port}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={folder / 'certs'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--disable-admission-plugins=ServiceAccount",
    ]


def write_kubeconfig(path: Path, port: int) -> None:
    """Access as a cluster administrator; the server's certificate is its own, made a moment ago."""
    cluster = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(config))


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An empty cluster without nodes, for the whole session: tests use namespaces of their own."""
    folder = tmp_path_factory.mktemp("api-server")
    client, peer, port = free_ports(3)
    write_kubeconfig(folder / "kubeconfig", port)
    server = ApiServer(folder / "kubeconfig")
    with (
        running(folder, "etcd", *etcd_flags(folder, client, peer)),
        running(folder, "kube-apiserver", *api_server_flags(folder, port, client)),
    ):
        deadline = time.monotonic() + START_SECONDS
        while server.kubectl("get", "--raw", "/readyz", check=False).strip() != "ok":
            if time.monotonic() > deadline:
                raise TimeoutError((folder / "kube-apiserver.log").read_text()[-2000:])
            time.sleep(0.5)
        yield server
