"""The machine is checked before anything is changed, and each problem says what to do."""

import dataclasses
import socket
from pathlib import Path

import pytest
from squeeze_cluster import paths, preflight
from squeeze_cluster.errors import ClusterError
from squeeze_cluster.preflight import Machine
from squeeze_cluster.settings import Settings

GOOD = Machine((3, 11), preflight.DISK_GIB, preflight.DISK_GIB, preflight.MEMORY_GIB, (), root=True)


def test_a_machine_just_large_enough_has_no_problem() -> None:
    assert preflight.problems(GOOD) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"python": (3, 10)}, "install Python 3.11 or newer"),
        ({"disk_free_gib": preflight.DISK_GIB - 0.1}, "SQUEEZESERVE_CACHE"),
        ({"memory_gib": preflight.MEMORY_GIB - 0.1}, "GiB of memory"),
        ({"busy_ports": (8080,)}, "GATEWAY_PORT="),
        ({"root": False}, "sudo make up"),
    ],
)
def test_each_problem_says_what_to_do(change: dict[str, object], told: str) -> None:
    found = preflight.problems(dataclasses.replace(GOOD, **change))  # type: ignore[arg-type]
    assert len(found) == 1
    assert told in found[0]


def test_a_port_held_by_a_stranger_is_found_on_this_very_machine() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        with pytest.raises(ClusterError, match=f"port {port} on 127.0.0.1 is taken"):
            preflight.check(Settings(gateway_port=port, registry_port=1), ours=False)
        preflight.check(Settings(gateway_port=port), ours=True)


def test_a_machine_that_holds_everything_already_needs_less_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a reboot the caches are full, and so may be the disk."""
    monkeypatch.setattr(paths, "CACHE", tmp_path)
    settings, airgapped = Settings(airgap=False), Settings(airgap=True)
    assert preflight._disk_needed(settings) == preflight.DISK_GIB
    assert preflight._disk_needed(airgapped) == preflight.DISK_AIRGAP_GIB
    preflight.remember()
    assert preflight._disk_needed(settings) == preflight._disk_needed(airgapped) == preflight.DISK_AGAIN_GIB
