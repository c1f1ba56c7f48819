"""DeepFilterNet3 in a real process of the host, for several streams: each to the bit what it is alone, in one piece."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from audio_pipeline.models.separation import deepfilternet
from audio_pipeline.models.separation.catalogue import DEEPFILTERNET
from audio_pipeline.models.separation.live import Driver
from audio_pipeline.models.separation.stream import SeparatorStream, separate
from audio_pipeline.models.separation.types import Array, SeparatorSettings
from audio_pipeline.models.weights import store
from audio_pipeline.serving.model_session import Wish
from audio_pipeline.serving.served_model import HostModel, ServedModel
from audio_pipeline.serving.services import running_services
from tests.models.noisy_speech import noisy_speech
from tests.patience import PATIENCE_S

LOW = SeparatorSettings("low")
HOP = DEEPFILTERNET.stft.hop
TASK = {"model": "deepfilternet", "device": "auto", "threads": 0, "precision": "auto", "engine": "auto"}

pytestmark = pytest.mark.skipif(
    store.locate("deepfilternet").folder is None,
    reason="weights are not here (audio-pipeline models fetch deepfilternet)",
)


class Stream(threading.Thread):
    """Sound through the host in pieces of `size` samples, every window waited for; then, maybe, other sound."""

    def __init__(self, name: str, sounds: list[Array], size: int) -> None:
        super().__init__()
        self._size, self._sounds, self.found = size, sounds, list[dict[str, Array]]()
        wish = Wish(name, LOW.mode)
        self.worker = ServedModel(DEEPFILTERNET, TASK, wish, lambda: None)
        self.driver = Driver(SeparatorStream(HostModel(DEEPFILTERNET), LOW), self.worker)

    def run(self) -> None:
        for x in self._sounds:
            self.found.append(self._separated(x))
            self.driver.reset()

    def _separated(self, x: Array) -> dict[str, Array]:
        driver, blocks = self.driver, []
        for at in range(0, len(x), self._size):
            driver.push(x[at : at + self._size])
            while driver.stream.pending() is not None:
                blocks += driver.step(0)
                self.worker.wait(PATIENCE_S)
        blocks += driver.finish(lambda: 0)
        assert not any(block.dry for block in blocks)
        return {name: np.concatenate([block.sound[name] for block in blocks]) for name in driver.stream.outputs}


def test_streams_of_one_model_with_a_memory_do_not_hear_each_other(runtime: Path) -> None:
    """Three at once in other pieces, one of which begins anew: all as one-shot by a model of one's own."""
    sounds = [noisy_speech(0.5, seed)[: 40 * HOP + 123 * seed] for seed in range(4)]
    streams = [Stream("a/s", [sounds[0]], HOP), Stream("b/s", [sounds[1]], 777), Stream("c/s", sounds[2:], 5_000)]
    (service,) = running_services()
    assert "deepfilternet" in service.status.holds
    for stream in streams:
        assert stream.worker.place.hop == 1, "its work goes by the frame, so a longer hop saves nothing"
        stream.start()
    for stream in streams:
        stream.join()
        stream.worker.close()
    found, own = [each for stream in streams for each in stream.found], deepfilternet.load()
    for x, stems in zip(sounds, found, strict=True):
        alone = separate(own, x, LOW)
        for stem in DEEPFILTERNET.stems:
            assert np.array_equal(stems[stem], alone[stem])
