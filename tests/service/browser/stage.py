"""A pipeline, the media process and a browser with a microphone that plays a file."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright

from audio_pipeline.host.runtime import RunDir
from audio_pipeline.run.pipeline import Pipeline
from tests.service.browser.site import Site

CHROMIUM = Path("/usr/bin/chromium")
RATE = 48_000
EVERY_S, CHIRP_S = 0.5, 0.02
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
AUTOPLAY = "--autoplay-policy=no-user-gesture-required"

ECHO = """
version: 1
name: echo
rate: 48000
frame_ms: FRAME_MS
nodes:
  song: {kind: file_source, path: SONG, loop: true}
  singer: {kind: remote_mic, channels: 1}
  mix:
    kind: mixer
    inputs:
      song: {from: song, on_loss: silence, gain_db: SONG_DB}
      singer: {from: singer, on_loss: silence}
  speaker: {kind: playback, device: "null", in: {from: mix, on_loss: silence}}
"""


def chirp(rate: int) -> NDArray[np.float32]:
    """1 to 8 kHz in 20 ms, under a Hann window."""
    t = np.arange(round(CHIRP_S * rate)) / rate
    phase = 2 * np.pi * (1_000 * t + 7_000 / CHIRP_S * t**2 / 2)
    return (0.5 * np.hanning(len(t)) * np.sin(phase)).astype(np.float32)


def write_wav(path: Path, x: NDArray[np.float32], rate: int = RATE) -> None:
    """Mono, 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.round(x * 32_767).astype("<i2").tobytes())


def chirps(path: Path) -> None:
    """Ten seconds of one chirp every half second."""
    x = np.zeros(10 * RATE, np.float32)
    for at in range(0, len(x), round(EVERY_S * RATE)):
        x[at : at + len(chirp(RATE))] = chirp(RATE)
    write_wav(path, x)


def tone(path: Path, hz: float = 440.0) -> None:
    """Ten seconds of a whole number of periods, so that the loop has no seam."""
    write_wav(path, (0.25 * np.sin(2 * np.pi * hz * np.arange(10 * RATE) / RATE)).astype(np.float32))


@contextmanager
def media(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The media process of a service in this folder."""
    process = subprocess.Popen([sys.executable, "-m", "audio_pipeline.service.media.main", str(folder)])
    try:
        while not (folder / "media.sock").exists():
            assert process.poll() is None, "the media process ended"
        yield process
    finally:
        process.terminate()
        process.wait()


class Stage:
    """What a test of the browser's sound runs against."""

    def __init__(self, pipeline: Pipeline, site: Site, microphone: Path, folder: Path) -> None:
        self.pipeline, self.site, self.microphone, self.folder = pipeline, site, microphone, folder

    @contextmanager
    def page(self, query: str = "", *, autoplay: bool = True) -> Iterator[Page]:
        """A page of the test's harness in a Chromium of its own."""
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={self.microphone}", *([AUTOPLAY] if autoplay else [])]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            try:
                page = browser.new_context().new_page()
                page.goto(self.site.origin + query)
                page.wait_for_function("() => window.makeEngine")
                yield page
            finally:
                browser.close()

    def gauges(self, node: str) -> dict[str, float]:
        return dict(self.pipeline.client.ledger().nodes[node].gauges)


@contextmanager
def stage(*, song_db: float = 0.0, frame_ms: float = 10) -> Iterator[Stage]:
    """Starts everything but a browser."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="b")))
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = str(folder)
        stack.callback(_restore, before)
        chirps(folder / "chirps.wav")
        tone(folder / "song.wav")
        (folder / "media").mkdir(mode=0o700)
        text = (
            ECHO.replace("SONG_DB", str(song_db))
            .replace("FRAME_MS", str(frame_ms))
            .replace("SONG", str(folder / "song.wav"))
        )
        pipeline = stack.enter_context(Pipeline.loads(text))
        assert pipeline.wait_playing()
        stack.enter_context(media(folder / "media"))
        run = next(path for path in (folder / "audio-pipeline").iterdir() if RunDir(path).path.is_dir())
        site = Site(folder / "media", str(run))
        stack.callback(site.close)
        yield Stage(pipeline, site, folder / "chirps.wav", folder)


def _restore(before: str | None) -> None:
    if before is None:
        del os.environ["XDG_RUNTIME_DIR"]
    else:
        os.environ["XDG_RUNTIME_DIR"] = before


def begin(page: Page, **terms: Any) -> None:
    """Makes an engine and starts it by a click."""
    page.evaluate("(terms) => makeEngine(terms)", terms)
    page.click("#start")


def status(page: Page) -> dict[str, Any]:
    return cast("dict[str, Any]", page.evaluate("() => engine.status.value"))


def await_playing(page: Page) -> None:
    """Until something is heard."""
    page.wait_for_function("() => engine.status.value.state === 'playing'")


def recorded(page: Page, which: int) -> NDArray[np.float32]:
    """What the recorder got: 0 the microphone, 1 what is played."""
    return np.frombuffer(base64.b64decode(page.evaluate("(k) => samples(k)", which)), np.float32)
