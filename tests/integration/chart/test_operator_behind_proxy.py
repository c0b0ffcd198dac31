"""Proxy variables in the operator's environment: its own requests stay direct."""

from pathlib import Path

import httpx
import pytest
from integration.chart.release import ApiServer, Helm
from integration.chart.test_operator_rights import (
    ACCOUNT,
    assert_all_is_done,
    create_both,
    running_operator,
)
from integration.recording_proxy import VARIABLES, recording_proxy
from unit.chart.chart_rendering import CHART

pytestmark = pytest.mark.usefixtures("kserve")


def test_watches_and_requests_go_to_the_api_server_directly(
    api_server: ApiServer, helm: Helm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm("install", "squeezeserve", str(CHART), *ACCOUNT)
    kube = api_server.plane.client()
    with recording_proxy(tmp_path) as proxy:
        # Without an exception for the API server: nobody may have to name its address.
        for name in VARIABLES:
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with running_operator(api_server.plane, tmp_path, *ACCOUNT):
            create_both(kube, "team-a")
            assert_all_is_done(kube, "team-a")
        assert proxy.requests() == []
        assert httpx.get("http://anything.example/").status_code == 502
        assert proxy.requests() == ["GET http://anything.example/"]
