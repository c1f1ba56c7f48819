"""The metrics endpoint, read by Prometheus' own parser and spoken to over real HTTP on a free port."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from audio_pipeline.errors import ConfigError, ControlError, PipelineError
from audio_pipeline.metrics import AGE_EDGES_MS
from audio_pipeline.observe.exporter import Address, Exporter, parse_address, the_token, token_file
from audio_pipeline.observe.prometheus import text_of
from tests.engine.graphs import graph_of
from tests.engine.states import karaoke
from tests.engine.test_top import WORST, times

ROOT = Path(__file__).resolve().parents[2]


def state() -> dict[str, Any]:
    made = karaoke()
    for node in made["nodes"].values():
        node["wait"], node["work"] = times(0.2, 4.0), times(1.0)
        node["gauges"] = {"heard_position": 3.0}
    made["paths"][1].update(measured={**times(430.0, 512.0), "worst": WORST}, stated_ms=440.0)
    guest = {"from": "mix.out", "offered": 9, "delivered": 5, "queued": 1, "in_flight": 1, "dropped": {"left": 2}}
    return {**made, "run": "karaoke-1-x", "guests": [guest]}


def families(text: bytes) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


def value(text: bytes, name: str, **labels: str) -> float:
    (found,) = [
        sample.value for family in text_string_to_metric_families(text.decode()) for sample in family.samples
        if sample.name == f"audio_pipeline_{name}" and labels.items() <= sample.labels.items()
    ]  # fmt: skip
    return float(found)


def test_prometheus_reads_what_the_state_says() -> None:
    text = text_of(state())
    assert value(text, "link_frames_dropped_total", link="split.vocals>mix.vocals", reason="stale") == 2
    assert value(text, "link_frames_offered_total", link="mix.out>out.in") == 8341
    assert value(text, "node_restarts_total", node="split") == 1
    assert value(text, "node_resident_memory_bytes", node="split") == pytest.approx(412e6)
    assert value(text, "node_events_total", node="split", reason="missed_deadlines") == 2
    assert value(text, "node_wait_seconds_count", node="mix") == 2
    assert value(text, "node_wait_seconds_sum", node="mix") == pytest.approx(0.0042)
    assert value(text, "path_age_max_seconds", path="song>split>mix>out") == pytest.approx(0.512)
    assert value(text, "path_worst_frame_number", path="song>split>mix>out") == 8123
    assert value(text, "guest_frames_dropped_total", port="mix.out", reason="left") == 2
    assert value(text, "node_up", node="mic", state="absent") == 0


def test_histograms_are_cumulative_and_in_seconds() -> None:
    family = families(text_of(state()))["audio_pipeline_path_age_seconds"]
    buckets = [(float(sample.labels["le"]), sample.value) for sample in family.samples if "le" in sample.labels]
    assert buckets == sorted(buckets) and buckets[-1] == (float("inf"), 2)
    assert 20 <= len(buckets) <= 30 and buckets[-2][0] <= AGE_EDGES_MS[-1] / 1000
    within = [count for edge, count in buckets if edge < 0.43]
    assert not any(within), "both frames were older than that"


def test_names_keep_the_conventions() -> None:
    """Base units, one prefix, `_total` on counters alone, help on each."""
    for name, family in families(text_of(state())).items():
        assert re.fullmatch(r"audio_pipeline_[a-z][a-z0-9_]*", name)
        assert family.documentation.endswith(".")
        assert not re.search(r"_(ms|mb|percent|ns|milliseconds)(_|$)", name), name
        counted = any(sample.name.endswith("_total") for sample in family.samples)
        assert counted == (family.type == "counter" and bool(family.samples))


def test_every_metric_is_documented_and_none_that_is_not_there() -> None:
    page = (ROOT / "docs" / "observability.md").read_text()
    table = set(re.findall(r"^\| `(audio_pipeline_\w+)`", page, re.MULTILINE))
    given = {
        f"{name}_total" if family.type == "counter" else name for name, family in families(text_of(state())).items()
    }
    assert table == given


@pytest.mark.parametrize(("text", "host", "port"), [
    ("9464", "127.0.0.1", 9464), ("127.0.0.1:9464", "127.0.0.1", 9464), ("[::1]:1", "::1", 1),
    ("0.0.0.0:9464", "0.0.0.0", 9464), ("localhost:0", "localhost", 0),
])  # fmt: skip
def test_addresses(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize("text", ["", "x", ":9464", "a:b", "127.0.0.1:", "1:70000", "-1", "²"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="metrics: expected .*PORT"):
        parse_address(text)


def test_what_others_can_reach_is_not_loopback() -> None:
    assert [Address(host, 1).is_loopback for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9")] == [True] * 4
    assert not any(Address(host, 1).is_loopback for host in ("0.0.0.0", "::", "10.0.0.1", "example.org"))


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    made = Exporter(Address("127.0.0.1", 0), state)
    made.start()
    yield made
    made.close()


def get(exporter: Exporter, path: str = "/metrics", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", exporter.address.port)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_a_scrape_over_http(exporter: Exporter) -> None:
    status, body = get(exporter)
    assert status == 200 and value(body, "uptime_seconds") == pytest.approx(83.4)
    assert get(exporter, "/")[0] == 404
    assert exporter.said == f"metrics at http://127.0.0.1:{exporter.address.port}/metrics"


def test_many_scrapes_ask_the_pipeline_once() -> None:
    asked: list[int] = []
    made = Exporter(Address("127.0.0.1", 0), lambda: asked.append(1) or state())  # type: ignore[func-returns-value]
    assert made.text() == made.text() == made.text()
    assert len(asked) == 1
    made.close()


def test_a_pipeline_that_does_not_answer_is_said_so() -> None:
    def silent() -> dict[str, Any]:
        raise ControlError("the pipeline did not answer 'state' within 2 s")

    made = Exporter(Address("127.0.0.1", 0), silent)
    made.start()
    assert get(made) == (503, b"the pipeline did not answer 'state' within 2 s\n")
    made.close()


def test_what_others_can_reach_asks_for_a_token(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "metrics.token"
    made = Exporter(Address("0.0.0.0", 0), state, token_path=path)
    made.start()
    token = path.read_text().strip()
    assert path.stat().st_mode & 0o777 == 0o600 and len(token) > 30
    assert str(path) in made.said and token not in made.said
    assert get(made)[0] == get(made, Authorization="Bearer wrong")[0] == get(made, "/x")[0] == 401
    assert get(made, Authorization="Bearer ü".encode().decode("latin-1"))[0] == 401
    assert get(made, Authorization=f"Bearer {token}")[0] == 200
    made.close()
    assert the_token(path) == token, "it stays, so that Prometheus needs to be told once"


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "metrics.token"
    path.write_text("x" * 40)
    path.chmod(0o644)
    with pytest.raises(PipelineError, match="must be a file of yours with mode 0600"):
        the_token(path)
    path.unlink()
    path.symlink_to(os.devnull)
    with pytest.raises(PipelineError, match="metrics: .*"):
        the_token(path)
    path.unlink()
    path.touch(0o600)
    with pytest.raises(PipelineError, match="holds no token"):
        the_token(path)


def test_the_token_lies_in_the_users_own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert token_file() == tmp_path / "audio-pipeline" / "metrics.token"


def test_a_port_in_use_is_one_sentence(exporter: Exporter, tmp_path: Path) -> None:
    port = exporter.address.port
    with pytest.raises(PipelineError, match=rf"^metrics: cannot listen on 127.0.0.1 port {port}: Address already in"):
        Exporter(exporter.address, state)
    with pytest.raises(PipelineError, match="metrics: cannot listen on 192.0.2.1 port 1: "):  # nobody's: RFC 5737
        Exporter(Address("192.0.2.1", 1), state, token_path=tmp_path / "token")


def test_a_client_that_says_nothing_blocks_nobody(exporter: Exporter) -> None:
    with socket.create_connection(("127.0.0.1", exporter.address.port)):
        assert get(exporter)[0] == 200


def test_a_pipeline_file_is_checked_for_its_address() -> None:
    assert graph_of("song: {kind: noise}", metrics="127.0.0.1:9464").top.metrics == "127.0.0.1:9464"
    with pytest.raises(ConfigError, match=r"^metrics: expected \[HOST:\]PORT.*, got 'here' \(p.yaml:"):
        graph_of("song: {kind: noise}", metrics="here")


def test_the_sample_dashboard_asks_for_metrics_that_are_there() -> None:
    board = json.loads((ROOT / "examples" / "grafana.json").read_text())
    exprs = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    names = [name for expr in exprs for name in re.findall(r"audio_pipeline_\w+", expr)]
    asked = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    given = {
        f"{name}_total" if family.type == "counter" else name for name, family in families(text_of(state())).items()
    }
    assert len(exprs) >= 8 and asked <= given, asked - given
