"""What is left of KEDA's source."""

from pathlib import Path

from squeeze_cluster import kedasource

SWITCH = """\
	switch triggerType {
	case "kafka":
		return scalers.NewKafkaScaler(ctx, config)
	case "prometheus":
		return scalers.NewPrometheusScaler(config)
	// A remark.
	case "temporal":
		return scalers.NewTemporalScaler(ctx, config)
	default:
		return nil, fmt.Errorf("no scaler found for type: %s", triggerType)
	}
"""


def test_only_the_scalers_that_are_there_can_be_made(tmp_path: Path) -> None:
    folder, builder = tmp_path / "pkg" / "scalers", tmp_path / "pkg" / "scaling" / "scalers_builder.go"
    (folder / "kafka").mkdir(parents=True)
    builder.parent.mkdir()
    for name in ("Kafka", "Prometheus", "Temporal"):
        (folder / f"{name.lower()}_scaler.go").write_text(f"func New{name}Scaler(config *Config) Scaler {{\n")
    (folder / "scaler.go").write_text("package scalers\n")
    builder.write_text(SWITCH)
    kedasource.trim(tmp_path)
    assert {file.name for file in folder.glob("*.go")} == {"scaler.go", "prometheus_scaler.go"}
    assert builder.read_text() == SWITCH.replace(
        '	case "kafka":\n		return scalers.NewKafkaScaler(ctx, config)\n', ""
    ).replace('	case "temporal":\n		return scalers.NewTemporalScaler(ctx, config)\n', "")
