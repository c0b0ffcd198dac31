"""Names, ports and versions of the development cluster: the one place to change them.

Values a user may override come from the environment and are listed by `make help`.
"""

import os
from dataclasses import dataclass, field

CLUSTER_NAME = "squeezeserve"
REGISTRY_NAME = "squeezeserve-registry"
KIND_NETWORK = "kind"
SYSTEM_NAMESPACE = "squeezeserve-system"
INGRESS_DOMAIN = "localhost"
GATEWAY_NODE_PORT = 30080


def _flag(name: str) -> bool:
    return os.environ.get(name, "").lower() in {"1", "true", "yes", "on"}


def _port(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ValueError(f"{name}={text!r} is not a port: give a number from 1 to 65535")
    return int(text)


@dataclass(frozen=True)
class Settings:
    """What one run of the cluster tools was asked to do."""

    airgap: bool = field(default_factory=lambda: _flag("AIRGAP"))
    keda: bool = field(default_factory=lambda: _flag("KEDA"))
    """Whether KEDA and Prometheus are part of it."""
    registry_mirror: str = field(default_factory=lambda: os.environ.get("REGISTRY_MIRROR", ""))
    gateway_port: int = field(default_factory=lambda: _port("GATEWAY_PORT", 8080))
    registry_port: int = field(default_factory=lambda: _port("REGISTRY_PORT", 5001))

    @property
    def registry(self) -> str:
        """The local registry as the host and the image names know it."""
        return f"localhost:{self.registry_port}"
