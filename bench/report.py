"""Ratios of the figures of one run. Pure.

Each rate is first related to the limit of its own minutes, since a shared machine changes its speed.
"""

from __future__ import annotations

from typing import Any

from bench.contestants import OURS

Json = dict[str, Any]

ADMITTED = 65
"""Pictures that the predictor admits at a time on one core: one in work, and its queue's default bound."""


def ratios(results: Json) -> Json:
    """What the figures mean side by side; None where a part was not measured."""
    picture = next(iter(results["ours"]["pictures"]))
    ours, ours_of_limit = results["ours"], of_limit(results["ours"]["pictures"][picture])
    two_cores, two_cores_limit = (results["cores"][who]["ratio"] for who in ("server", "loop"))
    alone, flooded = ours["pictures"][picture]["1"], ours["overload_3x"]
    steady, steady_limit = (ours["open_70_percent"][who]["p99_vs_p50"] for who in ("server", "loop"))
    documented = best_peer(results, "torch")
    bf16 = best_peer(results, "bf16")
    fastapi = results["peers"].get("FastAPI, torch", {}).get("first_answer_s")
    return {
        "throughput_vs_limit": ours_of_limit,
        "throughput_vs_limit_by_protocol": {
            protocol: of_limit(figures) for protocol, figures in ours["protocols"].items()
        },
        "throughput_vs_best_peer": ours_of_limit / documented if documented else None,
        "bf16_vs_best_peer": bf16 / documented if bf16 and documented else None,
        "throughput_vs_best_peer_same_engine": _closest(results["rivals"]),
        "two_cores_vs_one": two_cores,
        "two_cores_limit_vs_one": two_cores_limit,
        "two_cores_vs_limit": two_cores / two_cores_limit,
        "p50_alone_vs_limit": alone["p50_ms"] * alone["limit_beside"] / 1000,
        "p99_vs_p50_at_70_percent": steady,
        "p99_vs_p50_limit_at_70_percent": steady_limit,
        "goodput_at_3x_vs_capacity": flooded["goodput_vs_capacity"],
        "p99_at_3x_vs_queue": flooded["p99_ms"] / 1000 / (ADMITTED / flooded["per_second"]),
        "start_vs_fastapi_torch": ours["first_answer_s"] / fastapi if fastapi else None,
        "metrics_overhead": results["metrics"]["ImageNet"]["ratio"],
        "metrics_overhead_digits": results["metrics"]["digits"]["ratio"],
        "throttled_periods": _throttled_periods(results["throttling"]),
        **_gateway(results["gateway"]),
    }


def rate(by_concurrency: Json) -> float:
    """The highest rate of right answers over the concurrencies."""
    return float(max(one["per_second"] for one in by_concurrency.values()))


def of_limit(by_concurrency: Json) -> float:
    """The highest share of the limit that was measured beside it, over the concurrencies."""
    return max(_share(one) for one in by_concurrency.values())


def _share(one: Json) -> float:
    return float(one["per_second"] / one["limit_beside"])


def load_cores(by_concurrency: Json) -> float:
    """The most of a core that the load generator took, over the concurrencies."""
    return float(max(one["load_cores"] for one in by_concurrency.values()))


def peers_of_limit(peers: Json) -> dict[str, float]:
    """Each peer that ran, as a share of the limit."""
    return {title: of_limit(one["concurrency"]) for title, one in peers.items() if "failed" not in one}


def best_peer(results: Json, engine: str) -> float | None:
    """The highest share of the limit among the peers with an engine, batched ones included."""
    shares = [
        share
        for title, share in peers_of_limit(results["peers"]).items()
        if results["peers"][title]["engine"] == engine
    ]
    return max(shares, default=None)


def _closest(rivals: Json) -> float | None:
    """Ours over the best of them, turn by turn."""
    found = [one["ours_vs_it"] for name, one in rivals.items() if name != OURS]
    return min(found, default=None)


def _throttled_periods(throttling: Json) -> float | None:
    """The highest share with the threads that the predictor chooses by itself."""
    if "skipped" in throttling:
        return None
    by_clients = next(iter(throttling.values()))
    return float(max(one["throttled_periods"] for one in by_clients.values()))


def _gateway(gateway: Json) -> dict[str, float | None]:
    """The highest rate and the median alone through the gateway, over those without it."""
    if "gateway" not in gateway:
        return {"gateway_vs_direct": None, "gateway_p50_vs_direct": None}
    behind, direct = gateway["gateway"], gateway["direct"]
    return {
        "gateway_vs_direct": rate(behind) / rate(direct),
        "gateway_p50_vs_direct": behind["1"]["p50_ms"] / direct["1"]["p50_ms"],
    }


def fastest_loop(results: Json, picture: str) -> str:
    """The name of the fastest loop without a server."""
    found: dict[str, float] = results["limit"]["loops_per_s"][picture]
    return max(found, key=lambda name: found[name])
