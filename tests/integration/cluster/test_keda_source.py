"""KEDA's real source, as it is built where no registry answers."""

import re

from squeeze_cluster import gobuild


def test_every_scaler_that_is_left_is_there_and_the_used_ones_among_them() -> None:
    with gobuild._sources(gobuild.BINARIES["keda"]) as tree:
        scalers = "\n".join(file.read_text() for file in (tree / "pkg" / "scalers").glob("*.go"))
        switch = (tree / "pkg" / "scaling" / "scalers_builder.go").read_text()
    made = set(re.findall(r"scalers\.(New\w+)\(", switch))
    assert made == set(re.findall(r"^func (New\w+Scaler)\(", scalers, re.MULTILINE))
    assert made >= {"NewPrometheusScaler", "NewMetricsAPIScaler"}
