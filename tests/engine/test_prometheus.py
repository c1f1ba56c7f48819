"""The metrics endpoint, read by Prometheus' own parser and spoken to over real HTTP on a free port."""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from audio_pipeline.control.state import State
from audio_pipeline.errors import ConfigError, ControlError, PipelineError
from audio_pipeline.histogram import AGE_EDGES_MS
from audio_pipeline.host.address import Address, parse_address
from audio_pipeline.observe.exporter import Endpoint, the_token, token_file
from audio_pipeline.observe.prometheus import text_of
from audio_pipeline.observe.scrapes import PLACES, REQUEST_S, Metrics, Scrapes
from tests.engine.graphs import graph_of
from tests.engine.states import full, karaoke
from tests.engine.test_top import WORST, times

ROOT = Path(__file__).resolve().parents[2]


def state() -> State:
    made = karaoke()
    for node in made["nodes"].values():
        node["wait"], node["work"] = times(0.2, 4.0), times(1.0)
        node["gauges"] = {"heard_position": 3.0}
    made["paths"][1].update(measured={**times(430.0, 512.0), "worst": WORST}, stated_ms=440.0)
    tap = {"from": "mix.out", "offered": 9, "delivered": 5, "queued": 1, "in_flight": 1, "dropped": {"left": 2}}
    return full({**made, "run": "karaoke-1-x", "taps": [{**tap, "balanced": True}]})


def families(text: bytes) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text.decode())}


def value(text: bytes, name: str, **labels: str) -> float:
    (found,) = [
        sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == f"audio_pipeline_{name}" and labels.items() <= sample.labels.items()
    ]
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
    assert value(text, "tap_frames_dropped_total", port="mix.out", reason="left") == 2
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


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("9464", "127.0.0.1", 9464),
        ("127.0.0.1:9464", "127.0.0.1", 9464),
        ("[::1]:1", "::1", 1),
        ("0.0.0.0:9464", "0.0.0.0", 9464),
        ("localhost:0", "localhost", 0),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize("text", ["", "x", ":9464", "a:b", "127.0.0.1:", "1:70000", "-1", "²"])
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="metrics: expected .*PORT"):
        parse_address(text)


def test_what_others_can_reach_is_not_loopback() -> None:
    assert [Address(host, 1).is_loopback for host in ("127.0.0.1", "::1", "localhost", "127.9.9.9")] == [True] * 4
    assert not any(Address(host, 1).is_loopback for host in ("0.0.0.0", "::", "10.0.0.1", "example.org"))


class Served:
    """An endpoint whose scrapes are answered in a thread here."""

    def __init__(self, look: Callable[[], Any] = state, host: str = "127.0.0.1", **kept: Any) -> None:
        self.endpoint = Endpoint(Address(host, 0), **kept)
        self.scrapes = Scrapes(self.endpoint.socket, Metrics(look, self.endpoint.bearer))
        self._over = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over:
            self.scrapes.turn(0.02)

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *error: object) -> None:
        self._over = True
        self._thread.join()
        self.scrapes.close()
        self.endpoint.close()

    def get(self, path: str = "/metrics", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.endpoint.address.port)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.endpoint.address.port))


@pytest.fixture
def served() -> Iterator[Served]:
    with Served() as made:
        yield made


def test_a_scrape_over_http(served: Served) -> None:
    status, body = served.get()
    assert status == 200 and value(body, "uptime_seconds") == pytest.approx(83.4)
    assert served.get("/")[0] == 404
    assert served.endpoint.summary == f"metrics at http://127.0.0.1:{served.endpoint.address.port}/metrics"


def test_many_scrapes_ask_the_pipeline_once() -> None:
    asked: list[int] = []
    metrics = Metrics(lambda: asked.append(1) or state())  # type: ignore[func-returns-value]
    assert metrics.text() == metrics.text() == metrics.text()
    assert len(asked) == 1


def test_a_pipeline_that_does_not_answer_is_said_so() -> None:
    asked: list[int] = []

    def silent() -> dict[str, Any]:
        asked.append(1)
        raise ControlError("the pipeline did not answer 'state' within 2 s")

    with Served(silent) as served:
        assert served.get() == served.get() == (503, b"the pipeline did not answer 'state' within 2 s\n")
    assert len(asked) == 1, "a pipeline that is slow is not asked more often"


def test_what_others_can_reach_asks_for_a_token(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "metrics.token"
    with Served(host="0.0.0.0", token_path=path) as served:
        token = path.read_text().strip()
        assert path.stat().st_mode & 0o777 == 0o600 and len(token) > 30
        assert str(path) in served.endpoint.summary and token not in served.endpoint.summary
        assert served.get()[0] == served.get(Authorization="Bearer wrong")[0] == served.get("/x")[0] == 401
        assert served.get(Authorization="Bearer ü".encode().decode("latin-1"))[0] == 401
        assert served.get(Authorization=f"Bearer {token}")[0] == 200
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


def test_a_port_in_use_is_one_sentence(served: Served, tmp_path: Path) -> None:
    port = served.endpoint.address.port
    with pytest.raises(PipelineError, match=rf"^metrics: cannot listen on 127.0.0.1 port {port}: Address already in"):
        Endpoint(served.endpoint.address)
    with pytest.raises(PipelineError, match="metrics: cannot listen on 192.0.2.1 port 1: "):  # nobody's: RFC 5737
        Endpoint(Address("192.0.2.1", 1), token_path=tmp_path / "token")


# -- hostile peers of the metrics port ----------------------------------------------------------------


def test_however_many_say_nothing_the_next_one_is_answered(served: Served) -> None:
    """The oldest one that still owes its request makes way; descriptors stay a fixed number."""
    idle = [served.connect() for _ in range(3 * PLACES)]
    assert served.get()[0] == 200
    assert len(served.scrapes) <= PLACES
    for connection in idle:
        connection.close()


def test_hundreds_of_sessions_leave_nothing(served: Served) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for at in range(300):
        connection = served.connect()
        connection.send(b"GET /metrics HTTP/1.1\r\n\r\n" if at % 3 else b"GET ")
        connection.close()
    assert served.get()[0] == 200
    assert len(served.scrapes) <= PLACES and len(os.listdir("/proc/self/fd")) <= before + PLACES


def test_a_request_has_a_deadline_as_a_whole() -> None:
    """A byte now and then renews nothing."""
    now_s = 0.0
    endpoint = Endpoint(Address("127.0.0.1", 0))
    scrapes = Scrapes(endpoint.socket, Metrics(state), lambda: now_s)
    with socket.create_connection(("127.0.0.1", endpoint.address.port)) as slow:
        for byte in b"GET /metr":
            slow.send(bytes([byte]))
            scrapes.turn(1.0)
            assert len(scrapes) == 1
            now_s += REQUEST_S / 9
        now_s = REQUEST_S + 0.1
        scrapes.turn(0.0)
        assert len(scrapes) == 0 and slow.recv(1) == b""
    scrapes.close()
    endpoint.close()


@pytest.mark.parametrize(
    "said",
    [
        b"\n\n",
        b"\0" * 20_000,
        b"GET\n\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\n\r\n",
        b"GET /" + b"a" * 70_000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5_000,
        b"\xff\xfe\r\n\r\n",
    ],
)
def test_what_is_no_request_is_answered_or_dropped(served: Served, said: bytes) -> None:
    with served.connect() as odd:
        with suppress(OSError):
            odd.sendall(said)
            assert b"200" not in odd.recv(200)[:15]
    assert served.get()[0] == 200


def test_an_answer_that_nobody_takes_is_given_up() -> None:
    now_s = 0.0
    endpoint = Endpoint(Address("127.0.0.1", 0))
    asked: list[bool] = []

    class Long(Metrics):
        """More text than the system takes from us at once."""

        def text(self) -> tuple[int, bytes]:
            asked.append(True)
            return 200, bytes(64 << 20)

    scrapes = Scrapes(endpoint.socket, Long(state), lambda: now_s)
    with socket.create_connection(("127.0.0.1", endpoint.address.port)) as deaf:
        deaf.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        while not asked:
            scrapes.turn(1.0)
        for _ in range(50):
            scrapes.turn(0.0)
        assert len(scrapes) == 1, "it waits, and others are answered meanwhile"
        now_s = REQUEST_S + 0.1
        scrapes.turn(0.0)
        assert len(scrapes) == 0
    scrapes.close()
    endpoint.close()


def test_without_a_descriptor_the_oldest_makes_way(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = served.connect()
    while not len(served.scrapes):
        pass
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        os.close(taken.pop())  # for the client's side
        assert served.get()[0] == 200
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        idle.close()


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
