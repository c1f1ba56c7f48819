"""A model with a memory, served by the host: the same samples as by one's own, and a new memory after it was lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.models.separation.live import Driver
from audio_pipeline.models.separation.stream import SeparatorStream, separate
from audio_pipeline.models.separation.types import Array, SeparatorSettings
from audio_pipeline.serving import place_keeper
from audio_pipeline.serving.model_session import Wish
from audio_pipeline.serving.served_model import HostModel, ServedModel
from tests.dsp.chunking import noise
from tests.models.fake_stateful import FakeStateful
from tests.patience import PATIENCE_S
from tests.serving.test_served_model import TASK, Hosts

LOW = SeparatorSettings("low")
SPEC = FakeStateful.spec


@pytest.fixture
def hosts(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    monkeypatch.setattr(place_keeper, "AGAIN_S", 0.001)
    (runtime / "host").mkdir()
    made = Hosts(runtime / "host")
    made.model = FakeStateful()  # type: ignore[assignment]
    made.start()
    yield made
    made.kill()


def outputs(worker: ServedModel, x: Array, size: int) -> dict[str, Array]:
    """The whole stream through the host, every window waited for."""
    driver = Driver(SeparatorStream(HostModel(SPEC), LOW), worker)
    blocks = []
    for at in range(0, len(x), size):
        driver.push(x[at : at + size])
        while driver.stream.pending() is not None:
            blocks += driver.step(0)
            worker.wait(PATIENCE_S)
    blocks += driver.finish(lambda: 0)
    assert not any(block.dry for block in blocks)
    return {name: np.concatenate([block.sound[name] for block in blocks]) for name in driver.stream.outputs}


@pytest.mark.parametrize("size", [480, 1_000, 20_000])
def test_served_is_ones_own_to_the_last_bit(hosts: Hosts, size: int) -> None:
    x, news = noise(20_000, 1), threading.Event()
    worker = ServedModel(SPEC, TASK, Wish("run/split", "low", 1), news.set, hosts.find)
    try:
        served, own = outputs(worker, x, size), separate(FakeStateful(), x, LOW)
        for name in SPEC.stems:
            assert np.array_equal(served[name], own[name])
    finally:
        worker.close()


def test_a_reset_stream_begins_without_a_memory(hosts: Hosts) -> None:
    x, news = noise(6_000, 1), threading.Event()
    worker = ServedModel(SPEC, TASK, Wish("run/split", "low", 1), news.set, hosts.find)
    try:
        outputs(worker, noise(6_000, 1, 3), 480)
        worker.reset()
        assert np.array_equal(outputs(worker, x, 480)["speech"], separate(FakeStateful(), x, LOW)["speech"])
    finally:
        worker.close()
