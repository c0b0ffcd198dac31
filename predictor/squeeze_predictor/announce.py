"""What a person sees once the server is ready: its URL and a command to try."""

from __future__ import annotations

from squeeze_predictor.network import Network


def lines(name: str, url: str, network: Network) -> str:
    """One friendly line and a curl example, then a warning where the CPU stands in for a GPU."""
    served = f"{network.artifact.config.architecture}, {network.num_classes} classes"
    where = f"{network.engine.name} on {network.engine.device} in {network.engine.precision}"
    text = (
        f"Model '{name}' ({served}, {where}) is ready at {url}\n"
        f"  curl -H 'Content-Type: image/png' --data-binary @picture.png {url}/v1/models/{name}:predict"
    )
    if network.fell_back:
        text += "\n  warning: cuda was asked for and is not here, so the CPU answers (--cpu-fallback)"
    return text
