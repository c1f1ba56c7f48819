"""`audio-pipeline tap`: listens to any link of a running pipeline."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TextIO

from audio_pipeline.cli.attach import attached, is_elsewhere
from audio_pipeline.control.client import Client
from audio_pipeline.errors import ControlError, PipelineError
from audio_pipeline.frame import Frame
from audio_pipeline.host import runtime
from audio_pipeline.links.limits import TAP_FRAMES
from audio_pipeline.links.tap import Tap
from audio_pipeline.refs import PortRef
from audio_pipeline.terminal import warn, write
from audio_pipeline.view.keys import Keyboard
from audio_pipeline.view.tap import Filled, Level, Picture, Recording, find_port, write_event
from audio_pipeline.view.tap_screen import Listening, Waterfall, header, level_lines
from audio_pipeline.view.text import Line, PeakHold, clock_text, db_text
from audio_pipeline.view.view import drawn, fits_terminal

if TYPE_CHECKING:
    from audio_pipeline.gateway.tap import RemoteTap

SILENT_S = 3.0  # without a frame or a sign of idleness: check whether the pipeline is still there
REFRESH_S = 0.1
LIVE = "live"  # --spectrogram without a file


def tap(args: argparse.Namespace) -> int:
    """Listens until --seconds have come, the pipeline's end, q or Ctrl-C."""
    with ExitStack() as stack:
        client = stack.enter_context(attached(args.pipeline))
        description = client.describe()
        ref = find_port(description, args.target)
        tap = open_tap(client, ref, args.pipeline)
        stack.enter_context(tap)
        listener = Listener(tap, ref, description.name, args)
        stack.callback(listener.close)
        try:
            if ref.port in description.nodes[ref.node].events:
                return _events(tap, listener, sys.stdout)
            if listener.wants_screen and fits_terminal():
                _screen(listener)
            else:
                _plain(listener, sys.stdout)
        except KeyboardInterrupt:
            pass
    return 0


def open_tap(client: Client, port: PortRef, which: str | None) -> Tap | RemoteTap:
    """On a pipeline of this host, or an exported port of another one. Raises ControlError."""
    from audio_pipeline.gateway.control import RemoteControl
    from audio_pipeline.gateway.tap import RemoteTap

    if isinstance(client, RemoteControl):
        return RemoteTap(client.remote, str(port))
    try:
        run = runtime.attach(which)
        return Tap(run.endpoint(port.node, port.port), run.token, name="tap", window=TAP_FRAMES)
    except PipelineError as error:
        raise ControlError(str(error)) from error


class Listener:
    """A tap, and where its sound goes."""

    def __init__(self, tap: Tap | RemoteTap, port: PortRef, pipeline: str, args: argparse.Namespace) -> None:
        self.tap, self.port, self.pipeline = tap, port, pipeline
        self._args, self._run = args, args.pipeline
        self.filled = Filled()
        self.level = Level()
        self.recording = Recording(args.wav) if args.wav else None
        png = args.spectrogram not in (None, LIVE)
        self.picture = Picture() if png else None
        self.wants_screen = args.spectrogram == LIVE or args.level or not (args.wav or png)
        self.wants_waterfall = self.wants_screen and not (args.level and args.spectrogram is None)
        self.last: Frame | None = None
        self.on_sound: list[Callable[[Any, int], object]] = [lambda x, rate: self.level.add(x)]

    @property
    def seconds(self) -> float:
        return self.filled.samples / self.filled.rate if self.filled.rate else 0.0

    @property
    def over(self) -> bool:
        """Enough has come, or nothing more will. Raises ControlError where the pipeline is there but silent."""
        if self.tap.ended or (self._args.seconds is not None and self.seconds >= self._args.seconds):
            return True
        if time.monotonic_ns() - self.tap.received_ns > SILENT_S * 1e9:
            return not self._is_there()
        return False

    def _is_there(self) -> bool:
        try:
            if not is_elsewhere(self._run):  # a tap on another host says itself when it is gone
                runtime.attach(self._run)
        except PipelineError:
            warn("the pipeline has ended")
            return False
        self.tap.received_ns = time.monotonic_ns()  # a node that restarts, or one that has nothing to send
        return True

    def listen(self, seconds: float) -> None:
        """Takes what comes for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self.over:
            frame = self.tap.take(left)
            if frame is not None:
                self.use(frame)

    def use(self, frame: Frame) -> None:
        self.last = frame if frame.samples else self.last
        for block in self.filled.add(frame):
            self._use_block(self._within(block), self.filled.rate)

    def _within(self, block: Any) -> Any:
        """The part of a block that lies before --seconds."""
        if self._args.seconds is None:
            return block
        over = self.filled.samples - round(self._args.seconds * self.filled.rate)
        return block[: max(len(block) - max(over, 0), 0)]

    def _use_block(self, block: Any, rate: int) -> None:
        if self.recording is not None:
            self.recording.add(block, rate)
        if self.picture is not None:
            self.picture.add(block, rate)
        for take in self.on_sound:
            take(block, rate)

    @property
    def age_ms(self) -> float:
        """How old the newest frame was by now."""
        if self.last is None or not self.last.captured_ns:
            return 0.0
        return max(time.monotonic_ns() - self.last.captured_ns, 0) / 1e6

    @property
    def listening(self) -> Listening:
        """For the screen's first line."""
        now = self.filled
        return Listening(self.port, self.pipeline, now.channels, now.rate, self.tap.lost, self.age_ms, self.seconds)

    def close(self) -> None:
        """Finishes files and prints what became of them."""
        holes = (
            f", {self.filled.filled_samples} samples of it silence for what was missing"
            if self.filled.filled_samples
            else ""
        )
        path = self.recording.close() if self.recording is not None else None
        if path is not None:
            write(f"wrote {path}: {self.seconds_written:.3f} s from position {self.filled.begin}{holes}")
        drawn_to = self._args.spectrogram
        if self.picture is not None and (path := self.picture.save(drawn_to, f"{self.pipeline}: {self.port}")):
            write(f"wrote {path}")
        if self.filled.begin is None and (self.recording or self.picture):
            warn(f"audio-pipeline: nothing came from {self.port}")

    @property
    def seconds_written(self) -> float:
        return min(self.seconds, self._args.seconds) if self._args.seconds is not None else self.seconds


def _events(tap: Tap | RemoteTap, listener: Listener, out: TextIO) -> int:
    """A JSON line an event."""
    begun = time.monotonic()
    seconds = listener._args.seconds
    while not listener.over and (seconds is None or time.monotonic() - begun < seconds):
        frame = tap.take(REFRESH_S)
        if frame is not None:
            write_event(frame, out)
    return 0


def _plain(listener: Listener, out: TextIO) -> None:
    """Without a terminal, or for a file: a line a second where levels are wanted."""
    while not listener.over:
        listener.listen(1.0)
        if listener.wants_screen and listener.filled.rate:
            levels = "  ".join(f"{db_text(peak)} peak {db_text(rms)} rms" for peak, rms in listener.level.take())
            write(f"{clock_text(listener.seconds)}  {levels} dBFS", out=out)


def _screen(listener: Listener) -> None:
    """Meters, and below them the spectrogram; q leaves."""
    from rich.console import Console
    from rich.live import Live

    console = Console()
    screen = Screen(listener)
    with Keyboard() as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
        while not listener.over:
            listener.listen(REFRESH_S)
            live.update(drawn(screen.lines(console.size)), refresh=True)
            if "q" in keyboard.read(0.0):
                return


class Screen:
    """What `tap` shows of a listener."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._hold = PeakHold()
        self._levels: list[tuple[float, float]] = []
        self._bands = 0
        self._waterfall: Waterfall | None = None
        self._picture: Picture | None = None
        if listener.wants_waterfall:
            listener.on_sound.append(self._see)

    def _see(self, x: Any, rate: int) -> None:
        if self._picture is not None and self._waterfall is not None:
            columns = self._picture.columns
            self._waterfall.add(self._picture.add(x, rate))
            columns.clear()

    def lines(self, size: tuple[int, int]) -> list[Line]:
        """The page for a terminal of `size` (width, height)."""
        width, height = size
        listener = self._listener
        if not listener.filled.rate:
            return [[(f" waiting for {listener.port}", "color(245)")]]
        self._levels = listener.level.take() or self._levels
        now_s = time.monotonic()
        held = [self._hold(str(number), peak, now_s) for number, (peak, _) in enumerate(self._levels)]
        lines: list[Line] = [header(listener.listening, width), [], *level_lines(self._levels, held, width)]
        if listener.wants_waterfall:
            self._fit(2 * max(height - len(lines) - 2, 1))
            lines += [[], *(self._waterfall.lines(width) if self._waterfall else [])]
        return lines[: height - 1]

    def _fit(self, bands: int) -> None:
        """As many bands as the terminal has room for; another size begins anew."""
        if bands == self._bands:
            return
        from audio_pipeline.dsp.spectrogram import LogSpectrogram

        self._bands, self._picture = bands, Picture(bands=bands)
        sound = self._listener.filled
        edges = LogSpectrogram(sound.rate, bands=bands).edges_hz
        self._waterfall = Waterfall(bands, [float(edge) for edge in edges])
