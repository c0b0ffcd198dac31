"""The program that `helm test` runs, against a real TLS server in the API server's place."""

import datetime
import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from unit.chart.chart_rendering import CHART, only, rendered

PROGRAM = CHART / "files" / "tests" / "check_release.py"
GROUP = "/apis/squeezeserve.io/v1alpha1"


class Cluster(ThreadingHTTPServer):
    """Answers both the API server's discovery and the operator's readiness."""

    served: tuple[str, ...] = ("squeezemodels", "squeezemodels/status")
    ready = 200
    seen: list[tuple[str, str | None]]


class Handler(BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers["Authorization"]))
        found = self.path == GROUP and self.server.served
        status = self.server.ready if self.path == "/readyz" else 200 if found else 404
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"resources": [{"name": name} for name in self.server.served]}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


def self_signed(folder: Path) -> None:
    """A certificate for localhost that is its own authority: ca.crt and tls.key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    self_signed(tmp_path)
    (tmp_path / "token").write_text("secret-token")
    server = Cluster(("127.0.0.1", 0), Handler)
    server.seen = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.crt", tmp_path / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def check(folder: Path, port: int) -> subprocess.CompletedProcess[str]:
    """Run the program as the pod does, with the account's files in `folder`."""
    source = PROGRAM.read_text().replace("/var/run/secrets/kubernetes.io/serviceaccount", str(folder))
    url = f"https://localhost:{port}"
    environment = {
        "API_SERVER": url,
        "HEALTH_URL": f"{url}/readyz",
        "TIMEOUT_SECONDS": "0",
        "SSL_CERT_FILE": str(folder / "ca.crt"),
        "HTTPS_PROXY": "http://127.0.0.1:1",  # must be ignored: nothing answers there
    }
    command = [sys.executable, "-c", source]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)


def test_passes_on_a_sound_release_and_sends_the_token_to_the_api_server_only(
    cluster: Cluster, tmp_path: Path
) -> None:
    done = check(tmp_path, cluster.server_port)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.seen == [(GROUP, "Bearer secret-token"), ("/readyz", None)]


def test_fails_where_the_crd_is_not_served(cluster: Cluster, tmp_path: Path) -> None:
    cluster.served = ()
    done = check(tmp_path, cluster.server_port)
    assert done.returncode == 1
    assert "FAILED: crd_served: HTTP Error 404" in done.stdout
    assert "ok:" in done.stdout  # the other check still ran


def test_fails_where_the_status_subresource_is_missing(cluster: Cluster, tmp_path: Path) -> None:
    cluster.served = ("squeezemodels",)
    assert "does not serve squeezemodels/status" in check(tmp_path, cluster.server_port).stdout


def test_fails_where_the_operator_is_not_ready(cluster: Cluster, tmp_path: Path) -> None:
    cluster.ready = 503
    done = check(tmp_path, cluster.server_port)
    assert done.returncode == 1
    assert "FAILED: operator_ready: HTTP Error 503" in done.stdout


def test_fails_where_nothing_answers(cluster: Cluster, tmp_path: Path) -> None:
    done = check(tmp_path, 1)
    assert done.returncode == 1
    assert done.stdout.count("FAILED") == 2
    assert cluster.seen == []


def test_the_pod_runs_this_very_program() -> None:
    (container,) = only(rendered(), "Pod")["spec"]["containers"]
    assert container["command"] == ["python3", "-c"]
    assert container["args"] == [PROGRAM.read_text()]
