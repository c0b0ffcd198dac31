"""The few kinds of panels that the dashboards are made of, as Grafana's own SDK builds them."""

from collections.abc import Mapping, Sequence

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHT = 7
Query = prometheus.Dataquery


def query(expression: str, legend: str = "") -> Query:
    """A query over the dashboard's time; the legend may name labels in double braces."""
    return Query().expr(expression).legend_format(legend or "__auto").range()


def quantiles(metric: str, labels: str = "", by: str = "le") -> list[Query]:
    """Queries for the quantiles 0.5, 0.95 and 0.99 of a histogram."""
    rate = f"sum by ({by}) (rate({metric}_bucket{{{labels}}}[$__rate_interval]))"
    return [query(f"histogram_quantile({q}, {rate})", f"p{round(100 * q)}") for q in (0.5, 0.95, 0.99)]


def lines(
    title: str, description: str, queries: Sequence[Query], unit: str = "short", stacked: bool = False
) -> timeseries.Panel:
    """A panel of lines over time, a third of the dashboard wide."""
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .min(0)
        .height(HEIGHT)
        .span(8)
        .fill_opacity(25 if stacked else 8)
        .legend(common.VizLegendOptions().display_mode(options.LegendDisplayMode.LIST).show_legend(True))
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI))
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(options.StackingMode.NORMAL))
    for name, each in zip("ABCDEF", queries, strict=False):
        panel.with_target(each.ref_id(name))
    return panel


def figure(
    title: str, description: str, expression: str, unit: str = "short", warn: float | None = None
) -> stat.Panel:
    """A panel with one number, a sixth of the dashboard wide; orange from `warn` on, where that is given."""
    steps = [models.Threshold(color="green")]
    if warn is not None:
        steps.append(models.Threshold(value=warn, color="orange"))
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .unit(unit)
        .height(4)
        .span(4)
        .graph_mode(options.BigValueGraphMode.AREA)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps))
        .with_target(query(expression).ref_id("A"))
    )


def listing(title: str, description: str, expression: str, columns: Mapping[str, str]) -> table.Panel:
    """A table of the series that a query gives now: the labels in `columns` under their headings."""
    wanted = {label: place for place, label in enumerate(columns)}
    organize = {"indexByName": wanted, "renameByName": dict(columns)}
    fields = {"include": {"names": list(columns)}}
    return (
        table.Panel()
        .title(title)
        .description(description)
        .datasource(SOURCE)
        .height(HEIGHT)
        .span(24)
        .with_target(Query().expr(expression).instant().format(PromQueryFormat.TABLE).ref_id("A"))
        .with_transformation(models.DataTransformerConfig(id_val="filterFieldsByName", options=fields))
        .with_transformation(models.DataTransformerConfig(id_val="organize", options=organize))
    )


def variable(name: str, label: str, expression: str) -> dashboard.QueryVariable:
    """A choice of label values; all of them are chosen at first."""
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query(expression)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        # Not ".*", which a series without the label satisfies too: the operator's own would come along.
        .all_value(".+")
        .current(models.VariableOption(text="All", value="$__all"))
    )


def board(
    title: str, uid: str, description: str, variables: Sequence[dashboard.QueryVariable]
) -> dashboard.Dashboard:
    """An empty dashboard over the last hour, for any Prometheus that Grafana knows."""
    made = (
        dashboard.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags(["squeezeserve"])
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("30s")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for each in variables:
        made.with_variable(each)
    return made
