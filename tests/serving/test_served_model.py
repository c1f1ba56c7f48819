"""A stream at a model of the host: the same samples as at one of its own; dry while there is none, and back after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from audio_pipeline.errors import NodeError, PipelineError
from audio_pipeline.links.waker import Waker
from audio_pipeline.models.separation.deadlines import Limits
from audio_pipeline.models.separation.live import Driver
from audio_pipeline.models.separation.stream import SeparatorStream, separate
from audio_pipeline.models.separation.types import SeparatorSettings
from audio_pipeline.models.separation.workers import Inline
from audio_pipeline.serving import model_host, model_server, place_keeper
from audio_pipeline.serving.model_session import Wish
from audio_pipeline.serving.served_model import HostModel, ServedModel
from audio_pipeline.serving.service import Access, Tenure
from tests.dsp.chunking import noise
from tests.models.fake_model import FakeModel
from tests.patience import PATIENCE_S
from tests.serving.test_model_server import Alone

NS = 1_000_000_000
SETTINGS = SeparatorSettings("balanced", 4)
TASK = {"model": "fake", "device": "cpu", "threads": 0, "precision": "auto", "engine": "auto"}


class Hosts:
    """Hosts of one folder, one after the other, each in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.model: FakeModel = Alone()
        self._thread: threading.Thread | None = None
        self.access: Access | None = None
        self.found = threading.Event()

    def start(self) -> None:
        tenure = Tenure.begin(self._folder)
        assert tenure is not None
        self._tenure, ready = tenure, threading.Event()
        self._thread = threading.Thread(target=lambda: self._serve(tenure, ready.set))
        self._thread.start()
        assert ready.wait(PATIENCE_S)
        self.access = Access(str(tenure.socket), tenure.token)

    def _serve(self, tenure: Tenure, ready: Callable[[], None]) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        waker, socket = Waker(), context.socket(zmq.ROUTER)
        socket.bind(f"ipc://{tenure.socket}")
        server = model_server.ModelServer(self.model, tenure.token, model_host._sender(socket), waker.wake)
        self._end = threading.Event()
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(waker.fd, zmq.POLLIN)
        ready()
        while not self._end.is_set():
            poller.poll(5)
            waker.clear()
            while socket.poll(0):
                sender, head, *rest = socket.recv_multipart()
                server.receive(sender, head, rest[0] if rest else b"")
            server.turn()
        socket.close(linger=0)
        context.term()
        server.close()
        waker.close()

    def kill(self) -> None:
        self.access = None
        if self._thread is not None:
            self._end.set()
            self._thread.join()
            self._tenure.end()
            self._thread = None

    def find(self, stopped: Callable[[], bool]) -> Access:
        self.found.set()
        if self.access is None:
            raise PipelineError("no host")
        return self.access


@pytest.fixture
def hosts(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    monkeypatch.setattr(place_keeper, "AGAIN_S", 0.001)
    folder = runtime / "host"
    folder.mkdir()
    made = Hosts(folder)
    made.start()
    yield made
    made.kill()


class Stream:
    """A served stream; `news` is set by the worker's thread."""

    def __init__(self, hosts: Hosts, name: str = "run/split") -> None:
        self.news = threading.Event()
        wish = Wish(name, SETTINGS.mode, SETTINGS.hop)
        self.worker = ServedModel(FakeModel().spec, TASK, wish, self.news.set, hosts.find)

    def until(self, true: Callable[[], bool]) -> None:
        while not true():
            assert self.news.wait(PATIENCE_S)
            self.news.clear()


def outputs(worker: Inline | ServedModel, x: np.ndarray, size: int = 1_700) -> dict[str, np.ndarray]:
    """The whole stream through a worker, every window waited for."""
    driver = Driver(SeparatorStream(HostModel(FakeModel().spec), SETTINGS), worker)
    blocks = []
    for at in range(0, len(x), size):
        driver.push(x[at : at + size])
        while driver.stream.pending() is not None:
            blocks += driver.step(0)
            worker.wait(PATIENCE_S)
    blocks += driver.finish(lambda: 0)
    assert not any(block.dry for block in blocks)
    return {name: np.concatenate([block.sound[name] for block in blocks]) for name in driver.stream.outputs}


@pytest.mark.parametrize("size", [480, 1_024, 5_000, 90_000])
def test_streamed_through_the_host_is_streamed_through_ones_own(hosts: Hosts, size: int) -> None:
    x = noise(90_000)
    stream = Stream(hosts)
    served, own = outputs(stream.worker, x, size), outputs(Inline(FakeModel()), x, size)
    assert {name: len(sound) for name, sound in served.items()} == dict.fromkeys(own, len(x))
    for name, sound in own.items():
        assert np.array_equal(served[name], sound)
        assert np.array_equal(served[name], separate(FakeModel(), x, SETTINGS)[name])
    stream.worker.close()


def test_streams_of_several_pipelines_do_not_change_each_other(hosts: Hosts) -> None:
    sounds = [noise(60_000) * np.float32(1 + k) for k in range(3)]
    found: dict[int, dict[str, np.ndarray]] = {}

    def play(k: int) -> None:
        stream = Stream(hosts, f"run {k}/split")
        found[k] = outputs(stream.worker, sounds[k])
        stream.worker.close()

    players = [threading.Thread(target=play, args=(k,)) for k in range(3)]
    for player in players:
        player.start()
    for player in players:
        player.join()
    for k, x in enumerate(sounds):
        assert np.array_equal(found[k]["vocals"], outputs(Inline(FakeModel()), x)["vocals"])


def test_while_the_host_is_gone_it_is_dry_and_then_as_before(hosts: Hosts) -> None:
    x, stream, now = noise(160_000), Stream(hosts), NS
    limits = Limits(latency_ns=NS, spare_ns=0, fastest_ns=0, compute_ns=NS // 2)
    driver = Driver(SeparatorStream(HostModel(FakeModel().spec), SETTINGS), stream.worker, limits)
    blocks = []

    def play(start: int, stop: int, *, wait: bool) -> None:
        nonlocal now
        for at in range(start, stop, 4_410):
            now += NS // 10
            driver.push(x[at : at + 4_410], now)
            while wait and driver.stream.pending() is not None:
                blocks.extend(driver.step(now))
                stream.worker.wait(PATIENCE_S)
            blocks.extend(driver.step(now))

    play(0, 61_740, wait=True)
    hosts.kill()
    stream.until(lambda: not stream.worker.available)
    play(61_740, 105_840, wait=False)
    missed = driver.missed
    assert missed > 0 and not stream.worker.idle
    hosts.start()
    stream.until(lambda: stream.worker.available)
    play(105_840, 160_000, wait=True)
    assert driver.missed <= missed + 1 and stream.worker.lost == 1  # one window was due in between
    assert "is unavailable" in stream.worker.notes[0] and "is back" in stream.worker.notes[1]
    own = separate(FakeModel(), x, SETTINGS)
    first, last = (next(iter(order)) for order in (blocks, reversed(blocks)))
    for block in (first, last):
        for name, sound in block.sound.items():
            assert np.array_equal(sound, own[name][block.start : block.start + len(sound)])
    dry = [block for block in blocks if block.dry]
    assert dry and all(np.abs(block.sound["vocals"][-1_024:]).max() < 1e-6 for block in dry[4:])
    stream.worker.close()


def test_a_place_that_was_given_away_is_taken_again(hosts: Hosts) -> None:
    stream, x = Stream(hosts), noise(30_000)
    outputs(stream.worker, x)
    thief = Stream(hosts)  # of the same name: as a successor would
    stream.until(lambda: stream.worker.lost == 1 or not stream.worker.available)
    thief.worker.close()
    stream.until(lambda: stream.worker.available)
    stream.worker.reset()
    assert np.array_equal(outputs(stream.worker, x)["vocals"], outputs(Inline(FakeModel()), x)["vocals"])
    stream.worker.close()


def test_without_a_host_there_is_no_node(hosts: Hosts) -> None:
    hosts.kill()
    with pytest.raises(NodeError, match="no host"):
        Stream(hosts)
