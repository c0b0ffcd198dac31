"""What a user may set for the cluster, and what is refused."""

import pytest
from squeeze_cluster.settings import Settings


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AIRGAP", "KEDA", "REGISTRY_MIRROR", "GATEWAY_PORT", "REGISTRY_PORT"):
        monkeypatch.delenv(name, raising=False)
    settings = Settings()
    assert (settings.airgap, settings.gateway_port, settings.registry) == (False, 8080, "localhost:5001")
    assert not settings.keda


@pytest.mark.parametrize(
    ("value", "expected"), [("1", True), ("true", True), ("0", False), ("", False), ("no", False)]
)
def test_flags(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("AIRGAP", value)
    monkeypatch.setenv("KEDA", value)
    assert (Settings().airgap, Settings().keda) == (expected, expected)


@pytest.mark.parametrize("value", ["1", "65535"])
def test_ports_at_their_edges(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("GATEWAY_PORT", value)
    assert Settings().gateway_port == int(value)


@pytest.mark.parametrize("value", ["0", "65536", "-1", "http", ""])
def test_a_wrong_port_names_the_variable_and_the_range(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("GATEWAY_PORT", value)
    with pytest.raises(ValueError, match=r"GATEWAY_PORT=.*1 to 65535"):
        Settings()
