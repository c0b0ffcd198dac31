"""The predictor's variants that only a measurement starts: they answer, and say what they are to say."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from squeezenet import artifact as artifacts

from bench import breakdown, contestants, gateway, load, measure, overhead, pictures, processes
from bench import protocols as wire
from bench.client import Client
from bench.in_cluster import Task, Way
from bench.plan import Plan

DIGITS = "builtin://digits"


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (breakdown, measure):
        monkeypatch.setattr(module, "OUT", tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def without_metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    out, port = tmp_path_factory.mktemp("out"), processes.free_port()
    one = contestants.ours(DIGITS, "bench.launchers.without_metrics")
    command = [*one.started(processes.environment(None), port), "--drain-seconds=0"]
    with processes.running(command, {}, out / "server.log") as process:
        _answer_once(port, process)
        yield port


def _answer_once(port: int, process: psutil.Process) -> None:
    send = wire.over_http(Client("127.0.0.1", port), wire.RAW, "/v1/models/squeezenet:predict")
    measure.run(measure.first_answer(send, pictures.digit(), process))


def test_without_metrics_the_predictor_answers_and_counts_nothing(without_metrics: int) -> None:
    page = httpx.get(f"http://127.0.0.1:{without_metrics}/metrics").text
    assert "squeeze_pictures_total 0.0" in page


@pytest.mark.parametrize(
    ("protocol", "path"),
    [
        (wire.RAW, "/v1/models/squeezenet:predict"),
        (wire.V1, "/v1/models/squeezenet:predict"),
        (wire.FORM, "/v1/models/squeezenet:predict"),
        (wire.V2_BINARY, "/v2/models/squeezenet/infer"),
    ],
    ids=["raw", "V1", "form", "V2 binary"],
)
async def test_every_protocol_gets_the_right_class(
    protocol: wire.Protocol, path: str, without_metrics: int
) -> None:
    send = wire.over_http(Client("127.0.0.1", without_metrics), protocol, path)
    assert [await send(pictures.digit()) for _ in range(2)] == [7, 7]


def test_every_part_of_a_request_is_timed(out: Path) -> None:
    found = breakdown.measure(DIGITS, pictures.digit(), 1.0)
    assert tuple(found) == breakdown.SHOWN
    assert all(value > 0 for name, value in found.items() if name != "rest"), found
    assert len(json.loads((out / "trace.json").read_text())) > 5


def test_parts_and_rest_make_the_whole() -> None:
    one = {"parse HTTP": 0.001, "decode": 0.002, "infer": 0.02, "thread": 0.023, "write": 0.001}
    found = breakdown.parts([{"write": 9.0}, one, one], whole_ms=30.0)
    assert found["hand over"] == pytest.approx(1)
    assert found["resize"] == 0
    assert sum(found.values()) == pytest.approx(30)


def test_overhead_is_the_median_of_pairs() -> None:
    assert overhead.summary([(10.2, 10), (5.1, 5), (9, 1)])["ratio"] == pytest.approx(1.02)


def test_the_pod_has_all_that_it_needs_and_measures_every_way(without_metrics: int, tmp_path: Path) -> None:
    """The Job's own command on the ConfigMap's own files, here with two ways to one server."""
    digit = pictures.digit()
    ways = {name: Way("127.0.0.1", without_metrics, name) for name in ("gateway", "direct")}
    path = "/v1/models/squeezenet:predict"
    task = Task(path, digit.class_id, digit.media_type, seconds=0.2, rounds=2, ways=ways)
    config, job = gateway.load_generator(task, "predictor:1")
    folder = tmp_path / "bench"
    folder.mkdir()
    for name, text in config["data"].items():
        (folder / name).write_text(text)
    (folder / "picture").write_bytes(base64.b64decode(config["binaryData"]["picture"]))
    (container,) = job["spec"]["template"]["spec"]["containers"]
    _, *command, _ = container["command"]
    done = subprocess.run(
        [sys.executable, *command, folder],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found.keys() == {"gateway", "direct"}
    every = [one for by_clients in found.values() for one in by_clients.values()]
    assert len(every) == 4
    assert all(one["answers"] > 5 and one["wrong"] == 0 for one in every), found


@pytest.mark.usefixtures("out")
def test_a_peer_that_cannot_start_is_named_with_the_reason() -> None:
    plan = Plan(quick=True, seconds=0.1, concurrencies=(1,), rounds=1, overload_seconds=0.1)
    bench = measure.Bench(plan, DIGITS, beside=None)  # type: ignore[arg-type]
    broken = contestants.Contestant("Broken", ("-c", "raise SystemExit(1)"), "/", wire.RAW)
    found = measure.peer(bench, broken, pictures.digit())
    assert found["failed"] == "it ended before it answered: see Broken-torch.log"


@pytest.mark.usefixtures("out")
def test_a_peer_that_cannot_be_installed_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "none.txt").write_text("no-such-file.whl\n")
    monkeypatch.setattr(processes, "COMMON", tmp_path / "none.txt")
    monkeypatch.setattr(processes, "CACHE", tmp_path)
    plan = Plan(quick=True, seconds=0.1, concurrencies=(1,), rounds=1, overload_seconds=0.1)
    bench = measure.Bench(plan, DIGITS, beside=None)  # type: ignore[arg-type]
    absent = contestants.Contestant("Absent", (), "/", wire.RAW, "none")
    assert measure.peer(bench, absent, pictures.digit())["failed"].startswith("cannot be installed: ")


def test_a_batched_peer_is_one_more_variant_of_each_that_batches() -> None:
    titles = [one.title for one in contestants.peers()]
    assert len(titles) == len(set(titles))
    batched = {title.partition(",")[0] for title in titles if title.endswith("batched")}
    assert batched == {"LitServe", "mosec", "BentoML", "Ray Serve", "TorchServe"}


def test_the_digit_is_of_the_class_that_it_is_named_after() -> None:
    labels = artifacts.load(DIGITS).labels
    assert labels[pictures.digit().class_id] == "7"


async def test_the_load_generator_tells_its_own_cpu_time() -> None:
    async def busy(_: pictures.Picture) -> int:
        end = time.process_time() + 0.01
        while time.process_time() < end:
            pass
        return 7

    result = await load.closed_loop(busy, pictures.digit(), 1, 0.2)
    assert result.cpu >= 0.01 * len(result.latencies) > 0
    assert result.summary()["load_cores"] == pytest.approx(result.cpu / result.duration)
