"""A real pipeline and a real media process: sound both ways, and a media process that is killed."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audio_pipeline import Pipeline
from audio_pipeline.frame import audio_frame
from audio_pipeline.frame_codec import pack, parse
from tests.service.media.browser import Browser, until

RATE, N = 48_000, 480
PIPELINE = """
version: 1
name: duet
rate: 48000
frame_ms: 10
nodes:
  song: {{kind: file_source, path: "{tone}", loop: true}}
  singer: {{kind: remote_mic}}
  mix: {{kind: mixer, inputs: {{song: {{from: song, on_loss: silence}}}}}}
  take: {{kind: mixer, inputs: {{song: {{from: song, on_loss: silence}}, singer: {{from: singer, on_loss: silence}}}}}}
  speaker: {{kind: playback, device: "null", in: {{from: take, on_loss: silence}}}}
"""


@contextmanager
def media(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A media process that serves in a folder."""
    (folder / "media.sock").unlink(missing_ok=True)
    process = subprocess.Popen([sys.executable, "-m", "audio_pipeline.service.media.main", str(folder)])
    try:
        until((folder / "media.sock").exists)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def connected(folder: Path, pipeline: Pipeline) -> Iterator[Browser]:
    """A browser at the end of a tcp connection that was handed over."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        browser = Browser(socket.create_connection(listener.getsockname()))
        theirs, _ = listener.accept()
    run = str(Path(pipeline.access["endpoint"].removeprefix("ipc://")).parent)
    browser.hand_over(folder, theirs, run=run)
    browser.await_open()
    try:
        yield browser
    finally:
        browser.close()


def sing(browser: Browser, instance: int, frames: int) -> None:
    """Listens to that many frames, and sends one for each."""
    hello = {"t": "hello", "v": 1, "stream": 1, "port": "mix.out", "format": "s16", "window": 12, "instance": instance}
    offer = {"t": "offer", "v": 1, "stream": 2, "node": "singer", "instance": instance, "greeting": 0}
    browser.say(**hello)
    browser.say(**offer)
    browser.await_message("welcome", stream=1)
    browser.await_message("welcome", stream=2)
    loud = 0
    while loud < frames:
        browser.turn()
        assert not browser.is_gone, browser.closed
        while browser.frames:
            frame = parse(browser.frames.popleft())
            browser.say(t="credit", stream=1, epoch=frame.epoch, delivered=frame.seq, granted=frame.seq + 12)
            if frame.data is not None and np.abs(frame.data).max() > 0.2:
                loud += 1
                voice = audio_frame(np.full((N, 1), 0.1, np.float32), loud * N, RATE, seq=loud, epoch=1, stream=2)
                browser.binary(pack(voice))


@pytest.fixture
def private(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A runtime folder of its own, with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="ap-") as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        yield


@pytest.mark.usefixtures("private")
def test_sound_goes_both_ways_and_a_media_process_that_is_killed_costs_the_session_nothing(
    tmp_path: Path,
) -> None:
    t = np.arange(RATE) / RATE
    sf.write(tmp_path / "tone.wav", np.stack([np.sin(2 * np.pi * 440 * t) * 0.25] * 2, 1), RATE, subtype="FLOAT")
    folder = tmp_path / "service"
    folder.mkdir(mode=0o700)
    with Pipeline.loads(PIPELINE.format(tone=tmp_path / "tone.wav")) as pipeline:
        assert pipeline.wait_playing()
        with media(folder), connected(folder, pipeline) as browser:
            sing(browser, 1, 20)
            until(lambda: pipeline.state().ledger.nodes["singer"].counters.get("frames", 0) > 0)
        with media(folder), connected(folder, pipeline) as browser:
            sing(browser, 2, 20)
        until(lambda: all(tap.balanced and not tap.in_flight for tap in pipeline.state().ledger.taps))
        meters = pipeline.state().meters
        assert {name: node.restarts for name, node in meters.nodes.items() if node.restarts} == {}
