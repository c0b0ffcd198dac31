"""The whole run as markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.report import load_cores, of_limit, rate, ratios

Json = dict[str, Any]
NOT_ALONE = "–"


def table(results: Json) -> str:
    """Every table, one after another."""
    machine = results["machine"]
    sets = ", ".join(machine["instruction_sets"]) or "none of note"
    sections = [
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB; {sets}; "
        f"Python {machine['python']}; {machine['date']}. Weights: {results['weights']}.",
        _ratios(results),
        _by_picture("loop on one core, pictures/s", results["limit"]["loops_per_s"], 1),
        _by_picture("part, ms", results["limit"]["parts_ms"], 2),
        _engines(results["limit"]["probability_difference"]),
        cores(results["cores"]),
        _breakdown(results["breakdown_ms"]),
        _protocols(results["ours"]["protocols"]),
        _steady(results["ours"]["open_70_percent"]),
        _overload(results["ours"]["overload_3x"]),
        _servers(results),
        rivals(results["rivals"]),
        throttling(results["throttling"]),
        _gateway(results["gateway"]),
    ]
    return "\n\n".join(sections) + "\n"


def _ratios(results: Json) -> str:
    plain = {name: value for name, value in ratios(results).items() if not isinstance(value, dict)}
    rows = [(name, "not measured" if value is None else f"{value:.2f}") for name, value in plain.items()]
    return _markdown([("ratio", "value"), *rows])


def _by_picture(title: str, figures: Json, decimals: int) -> str:
    """A row for each name, a column for each picture."""
    names = next(iter(figures.values()))
    rows = [(name, *(f"{one[name]:.{decimals}f}" for one in figures.values())) for name in names]
    return _markdown([(title, *figures), *rows])


def _engines(differences: Json) -> str:
    rows = [(name, f"{value:.1e}") for name, value in differences.items()]
    return _markdown([("engine", "largest difference of a probability from the reference"), *rows])


def cores(measured: Json) -> str:
    """What a second core gives the loop and the server."""
    rows = {"loop, no server": measured["loop"], "SqueezeServe": measured["server"]}
    return _markdown(
        [
            ("pictures/s", "one core", "two cores", "ratio"),
            *((name, f"{a['one']:.1f}", f"{a['two']:.1f}", f"{a['ratio']:.2f}") for name, a in rows.items()),
        ]
    )


def _breakdown(parts: Json) -> str:
    rows = [(name, f"{value:.2f}") for name, value in parts.items()]
    return _markdown([("one request alone", "ms"), *rows])


def _protocols(protocols: Json) -> str:
    rows = [
        (
            name,
            f"{rate(figures):.1f}",
            f"{of_limit(figures):.2f}",
            f"{figures['1']['p50_ms']:.1f}",
            f"{figures['1']['cpu_ms']:.1f}",
            f"{load_cores(figures):.3f}",
        )
        for name, figures in protocols.items()
    ]
    head = ("SqueezeServe, one core", "pictures/s", "of the limit", "p50 alone, ms", "CPU ms", "load's cores")
    return _markdown([head, *rows])


def _steady(measured: Json) -> str:
    rows = {"loop, no server": measured["loop"], "SqueezeServe": measured["server"]}
    return _markdown(
        [
            (
                "70 % of the capacity, by the clock",
                "pictures/s",
                "p50 / p99, ms",
                "p99 / p50, median of turns",
            ),
            *(
                (
                    name,
                    f"{a['per_second']:.1f}",
                    f"{a['p50_ms']:.1f} / {a['p99_ms']:.1f}",
                    f"{a['p99_vs_p50']:.2f}",
                )
                for name, a in rows.items()
            ),
        ]
    )


def _overload(one: Json) -> str:
    head = (
        "three times the capacity",
        "pictures/s",
        "refused",
        "p99, ms",
        "probes failed",
        "slowest probe, ms",
        "MB at first, at last",
    )
    row = (
        "SqueezeServe, one core",
        f"{one['per_second']:.1f}",
        f"{one['shed']}",
        f"{one['p99_ms']:.0f}",
        f"{one['probes_failed']} of {one['probes']}",
        f"{one['probe_max_ms']:.0f}",
        f"{one['resident_mb_first']:.0f}, {one['resident_mb_last']:.0f}",
    )
    return _markdown([head, row])


def _servers(results: Json) -> str:
    ours = results["ours"]
    everybody = {
        "SqueezeServe, openvino": ours | {"concurrency": next(iter(ours["pictures"].values()))},
        **results["peers"],
    }
    head = (
        "server, one core",
        "pictures/s",
        "of the limit",
        "p50 / p99 alone, ms",
        "p99 in the most, ms",
        "MB",
        "start, s",
        "load's cores",
    )
    return _markdown([head, *(_server(title, one) for title, one in everybody.items())])


def _server(title: str, one: Json) -> tuple[str, ...]:
    if "failed" in one:
        return (title, one["failed"], "", "", "", "", "", "")
    figures = one["concurrency"]
    alone, most = figures.get("1"), list(figures.values())[-1]
    return (
        title,
        f"{rate(figures):.1f}",
        f"{of_limit(figures):.2f}",
        f"{alone['p50_ms']:.1f} / {alone['p99_ms']:.1f}" if alone else NOT_ALONE,
        f"{most['p99_ms']:.0f}",
        f"{one['resident_mb']:.0f}",
        f"{one['first_answer_s']:.1f}",
        f"{load_cores(figures):.3f}",
    )


def rivals(measured: Json) -> str:
    """Ours and the best with the same engine."""
    rows = [(name, f"{one['per_second']:.1f}", f"{one['ours_vs_it']:.2f}") for name, one in measured.items()]
    return _markdown([("the same engine, in turns", "pictures/s", "SqueezeServe's over it"), *rows])


def throttling(found: Json) -> str:
    """A row for each way to choose threads and number of clients."""
    head = ("a limit of one CPU", "clients", "periods throttled", "pictures/s", "p50 / p99, ms")
    if "skipped" in found:
        return _markdown([head, (found["skipped"], "", "", "", "")])
    rows = [
        (
            way,
            clients,
            f"{one['throttled_periods']:.2f}",
            f"{one['per_second']:.1f}",
            f"{one['p50_ms']:.1f} / {one['p99_ms']:.1f}",
        )
        for way, by_clients in found.items()
        for clients, one in by_clients.items()
    ]
    return _markdown([head, *rows])


def _gateway(gateway: Json) -> str:
    head = ("digits in a pod", "p50 / p99 alone, ms", "p99 in the most, ms", "pictures/s")
    if "gateway" not in gateway:
        return _markdown([head, (gateway.get("skipped") or gateway["failed"], "", "", "")])
    rows = [
        (
            way,
            f"{one['1']['p50_ms']:.2f} / {one['1']['p99_ms']:.2f}",
            f"{list(one.values())[-1]['p99_ms']:.2f}",
            f"{rate(one):.1f}",
        )
        for way, one in gateway.items()
    ]
    return _markdown([head, *rows])


def _markdown(rows: Sequence[tuple[str, ...]]) -> str:
    head, *body = rows
    lines = [head, tuple("---" for _ in head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
