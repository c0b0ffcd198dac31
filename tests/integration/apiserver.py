"""A real Kubernetes control plane on this machine for tests: etcd, kube-apiserver and, on request, the
garbage collector, on free ports of 127.0.0.1. There is no scheduler, no kubelet and no KServe controller, so
a test plays their part by writing status. Use the `control_plane` fixture of conftest.py: one for a session.
"""

import contextlib
import datetime
import ipaddress
import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

REPOSITORY = Path(__file__).parents[2]
ADMIN_TOKEN = "admin-token"
OPERATOR_TOKEN = "operator-token"
# The user that the chart's ServiceAccount becomes; a test of RBAC binds the chart's role to it.
OPERATOR_USER = "system:serviceaccount:squeezeserve-system:squeeze-operator"
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "rules": [
        # A watch ends when its time is over, so that it is noted when it begins.
        {"level": "Metadata", "users": [OPERATOR_USER], "verbs": ["watch"]}
        | {"omitStages": ["RequestReceived", "ResponseComplete"]},
        {"level": "Metadata", "users": [OPERATOR_USER]}
        | {"omitStages": ["RequestReceived", "ResponseStarted"]},
        {"level": "None"},
    ],
}
T = TypeVar("T")


def binary(name: str) -> Path:
    """A control plane program, as the cluster tools cache it.

    Raises FileNotFoundError where it has not been built: a unit of minutes that a test must not start.
    """
    from squeeze_cluster import gobuild, paths

    candidates = [gobuild.target(name), paths.CACHE / "bin-first" / name]
    found = next((path for path in candidates if path.exists()), None)
    if found is None:
        raise FileNotFoundError(f"{name} is not built yet: run `squeeze-cluster up` or build it first")
    return found


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether a page is there, and well."""
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def eventually(look: Callable[[], T | None], what: str, timeout: float = 20.0) -> T:
    """The first true answer of `look`; fails, naming `what`, after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    seen: T | None = None
    while time.monotonic() < deadline:
        seen = look()
        if seen:
            return seen
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout} s: {what} (last seen: {seen!r})")


class Kube:
    """A small synchronous API client for the test's own part."""

    def __init__(self, url: str, token: str, ca: Path) -> None:
        self.http = httpx.Client(
            base_url=url,
            verify=ssl.create_default_context(cafile=ca),
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            trust_env=False,
        )

    def get(self, path: str, **params: str) -> Any:
        """The object at a path, or None where there is none."""
        answer = self.http.get(path, params=params)
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    def create(self, path: str, body: dict[str, Any]) -> Any:
        """Creates an object; raises httpx.HTTPStatusError whose text holds the API's message."""
        return self._checked(self.http.post(path, json=body))

    def patch(self, path: str, body: Any, kind: str = "merge") -> Any:
        """Patches an object: kind is merge, json or strategic-merge."""
        content_type = f"application/{kind}-patch+json"
        return self._checked(self.http.patch(path, json=body, headers={"Content-Type": content_type}))

    def delete(self, path: str, **params: str) -> None:
        """Deletes an object; none there is as good."""
        answer = self.http.delete(path, params=params)
        if answer.status_code != 404:
            self._checked(answer)

    @staticmethod
    def _checked(answer: httpx.Response) -> Any:
        if answer.is_error:
            raise httpx.HTTPStatusError(answer.text, request=answer.request, response=answer)
        return answer.json()


class ControlPlane:
    """etcd and kube-apiserver as child processes, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.ca = folder / "ca.crt"
        self.kubeconfig = folder / "kubeconfig"
        self.audit_log = folder / "audit.log"
        """One JSON object for each request of the operator that has been answered, and each watch begun."""
        self._etcd_ports = (free_port(), free_port())
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Starts both programs and returns when the API answers."""
        self._write_secrets()
        (self.folder / "audit-policy.yaml").write_text(yaml.safe_dump(AUDIT_POLICY))
        self._start_etcd()
        self.start_apiserver()

    def stop(self) -> None:
        """Ends what was started, the API server before its store."""
        for name in list(reversed(self._processes)):
            self.stop_process(name)

    def stop_process(self, name: str) -> None:
        """Ends one program."""
        process = self._processes.pop(name)
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

    def asked(self) -> list[dict[str, Any]]:
        """What the operator has asked of objects, watches apart."""
        return [entry for entry in self.audited() if entry["verb"] != "watch"]

    def audited(self) -> list[dict[str, Any]]:
        """What the operator has asked of objects, as the API server's audit log tells it."""
        text = self.audit_log.read_text() if self.audit_log.exists() else ""
        # What follows the last line break is still being written.
        entries = [json.loads(line) for line in text.split("\n")[:-1]]
        return [entry for entry in entries if "objectRef" in entry]

    def client(self, token: str = ADMIN_TOKEN) -> Kube:
        """A client with the rights of the token's user."""
        return Kube(self.url, token, self.ca)

    def install_crds(self, *files: Path) -> None:
        """Creates the CRDs in the files and waits until their resources are served."""
        kube, loader = self.client(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for file in files:
            for document in yaml.load_all(file.read_text(), Loader=loader):
                kube.create(path, document)
                name = document["metadata"]["name"]
                eventually(partial(_served, kube, document), f"CRD {name} is served", timeout=60)

    def start_apiserver(self) -> None:
        """Starts kube-apiserver (again) on the same port with the same data."""
        folder = self.folder
        self._spawn(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._etcd_ports[0]}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--tls-cert-file={folder}/server.crt",
            f"--tls-private-key-file={folder}/server.key",
            f"--cert-dir={folder}",
            f"--token-auth-file={folder}/tokens.csv",
            "--authorization-mode=RBAC",
            f"--audit-policy-file={folder}/audit-policy.yaml",
            f"--audit-log-path={self.audit_log}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder}/sa.key",
            f"--service-account-signing-key-file={folder}/sa.key",
            "--service-cluster-ip-range=10.96.0.0/16",
            # There is no controller here that would make the default ServiceAccount of a namespace.
            "--disable-admission-plugins=ServiceAccount",
        )
        self._wait_ready("kube-apiserver", f"{self.url}/readyz", self.ca)

    def start_garbage_collector(self) -> None:
        """Starts kube-controller-manager with only the garbage collector in it."""
        self.start_controller("garbage-collector-controller")

    def start_controller(self, name: str) -> None:
        """Starts kube-controller-manager with only this controller in it."""
        self._spawn(
            name,
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={name}",
            "--leader-elect=false",
            "--secure-port=0",
            program="kube-controller-manager",
        )

    def write_kubeconfig(self, path: Path, token: str) -> Path:
        """A kubeconfig for the token's user."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [
                {"name": "test", "cluster": {"server": self.url, "certificate-authority": str(self.ca)}}
            ],
            "users": [{"name": "test", "user": {"token": token}}],
        }
        path.write_text(yaml.safe_dump(config))
        return path

    def _start_etcd(self) -> None:
        client, peer = (f"http://127.0.0.1:{port}" for port in self._etcd_ports)
        self._spawn(
            "etcd",
            f"--data-dir={self.folder}/etcd",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        )
        self._wait_ready("etcd", f"{client}/health")

    def _spawn(self, name: str, *arguments: str, program: str = "") -> None:
        log = (self.folder / f"{name}.log").open("ab")
        environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
        self._processes[name] = subprocess.Popen(
            [str(binary(program or name)), *arguments],
            stdout=log,
            stderr=log,
            env=environment,
            cwd=self.folder,
        )
        log.close()

    def _wait_ready(self, name: str, url: str, ca: Path | None = None) -> None:
        trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=ca) if ca else True
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}

        def ready() -> bool:
            assert self._processes[name].poll() is None, (self.folder / f"{name}.log").read_text()[-2000:]
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(url, verify=trust, headers=headers, trust_env=False).is_success
            return False

        eventually(ready, f"{name} is ready", timeout=90)

    def _write_secrets(self) -> None:
        _write_certificates(self.folder)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (self.folder / "sa.key").write_bytes(_pem(key))
        (self.folder / "tokens.csv").write_text(
            f'{ADMIN_TOKEN},admin,1,"system:masters"\n'
            f'{OPERATOR_TOKEN},{OPERATOR_USER},2,"system:serviceaccounts"\n'
        )
        self.write_kubeconfig(self.kubeconfig, ADMIN_TOKEN)


def _served(kube: Kube, crd: dict[str, Any]) -> bool:
    """Whether discovery lists the resource and its storage answers.

    Asking for the CRD itself would fetch up to 2 MB each time.
    """
    group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
    for version in (version["name"] for version in crd["spec"]["versions"] if version["served"]):
        path = f"/apis/{group}/{version}"
        listed = (kube.get(path) or {}).get("resources", [])
        answers = kube.http.get(f"{path}/{plural}", params={"limit": "1"}).is_success
        if not answers or plural not in [resource["name"] for resource in listed]:
            return False
    return True


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_certificates(folder: Path) -> None:
    """A certificate authority and a server certificate for 127.0.0.1, valid for a day."""
    authority_key, server_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    server = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    now = datetime.datetime.now(datetime.UTC)

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    root = (
        builder(authority, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    leaf = (
        builder(server, server_key)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (folder / "server.crt").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(_pem(server_key))


@contextlib.contextmanager
def running_control_plane(folder: Path) -> Iterator[ControlPlane]:
    """A started control plane with the project's CRDs, stopped and removed at the end."""
    plane = ControlPlane(folder)
    try:
        plane.start()
        plane.install_crds(*sorted((REPOSITORY / "manifests" / "crds").glob("*.yaml")))
        yield plane
    finally:
        plane.stop()
        shutil.rmtree(folder / "etcd", ignore_errors=True)
