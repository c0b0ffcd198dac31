"""The Grafana dashboards of the chart: made here, checked and drawn against a Prometheus."""
