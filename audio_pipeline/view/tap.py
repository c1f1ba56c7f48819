"""`tap`: what is done with the frames of a port that somebody listens to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.control.snapshots import Description, NodeDescription
from audio_pipeline.dsp.spectrogram import LogSpectrogram
from audio_pipeline.errors import ControlError, nearest
from audio_pipeline.files.wav import WavWriter
from audio_pipeline.frame import Flag, Frame
from audio_pipeline.refs import DEFAULT_OUTPUT, PortRef
from audio_pipeline.terminal import plain, write_json_line
from audio_pipeline.view.text import SILENCE_DB

Array = NDArray[np.float32]
MOST_FILL_S = 60.0  # a longer hole is a new beginning
PICTURE_COLUMNS = 20.0  # a second


def find_port(description: Description, target: str) -> PortRef:
    """The output meant by `NODE`, `NODE.PORT` or `NODE.INPUT` (whatever comes in there). Raises ControlError."""
    name, _, port = target.partition(".")
    nodes = description.nodes
    if name not in nodes:
        raise ControlError(f"unknown node {name!r}{nearest(name, nodes)}; known: {', '.join(nodes)}")
    own = [*nodes[name].outputs, *nodes[name].events]
    links = [link for link in description.links if link.input.node == name and not link.standby]
    incoming = {link.input.name: link.output for link in links}
    port = port or _default(nodes[name], incoming)
    if port in own:
        return PortRef(name, port)
    if port in incoming:
        return incoming[port]
    known = [*own, *incoming]
    raise ControlError(f"node {name!r} has no port {port!r}{nearest(port, known)}; known: {', '.join(known) or 'none'}")


def _default(node: NodeDescription, incoming: Mapping[str, PortRef]) -> str:
    """What is listened to where only a node is named: its sound, else what comes in, else its events."""
    if DEFAULT_OUTPUT in node.outputs:
        return DEFAULT_OUTPUT
    return next(iter([*node.outputs, *incoming, *node.events]), "")


class Filled:
    """Blocks of sound in an unbroken row: what is missing between two frames is silence, and counted."""

    def __init__(self) -> None:
        self.filled_samples = 0
        self.samples = 0  # put out
        self.rate = self.channels = 0
        self.begin: int | None = None  # position of the first sample
        self._end = 0

    def add(self, frame: Frame) -> Iterator[Array]:
        """What follows from one more frame; overlaps are cut, a change of rate or channels begins anew."""
        if frame.event is not None or not frame.samples:
            return
        if self.begin is None or (frame.rate, frame.channels) != (self.rate, self.channels):
            self.begin, self._end, self.rate, self.channels = frame.position, frame.position, frame.rate, frame.channels
        hole = frame.position - self._end
        if 0 < hole <= MOST_FILL_S * frame.rate:
            self.filled_samples += hole
            yield self._out(np.zeros((hole, frame.channels), np.float32))
        x = frame.audio()[max(-hole, 0) :]
        if frame.flags & Flag.GAP:
            self.filled_samples += len(x)
        self._end = max(self._end, frame.end) if hole <= MOST_FILL_S * frame.rate else frame.end
        if len(x):
            yield self._out(x)

    def _out(self, x: Array) -> Array:
        self.samples += len(x)
        return x


class Recording:
    """A WAV file (float32, sample for sample what the link carried)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: WavWriter | None = None

    def add(self, x: Array, rate: int) -> None:
        if self._writer is None:
            self._writer = WavWriter.open(self._path, rate, x.shape[1])
        there = self._writer.format
        if (there.rate, there.channels) != (rate, x.shape[1]):
            raise ControlError(f"recording {self._path}: the port now sends {x.shape[1]} channels at {rate} Hz")
        self._writer.write(x)

    def close(self) -> Path | None:
        """The file, None where nothing came."""
        return self._writer.close() if self._writer is not None else None


class Picture:
    """The columns of a spectrogram, kept for a picture."""

    def __init__(self, columns_per_s: float = PICTURE_COLUMNS, bands: int = 192) -> None:
        self._columns_per_s, self._bands = columns_per_s, bands
        self._spectrogram: LogSpectrogram | None = None
        self.columns: list[Array] = []

    def add(self, x: Array, rate: int) -> Array:
        """Takes sound; gives the columns (n, bands) in dB that are new."""
        if self._spectrogram is None or self._spectrogram.rate != rate:
            self._spectrogram = LogSpectrogram(rate, bands=self._bands, columns_per_s=self._columns_per_s)
        new = self._spectrogram.push(x)
        self.columns += list(new)
        return new

    def save(self, path: Path, title: str) -> Path | None:
        """A PNG with axes, None where nothing came. Raises ControlError where it cannot be written."""
        if self._spectrogram is None or not self.columns:
            return None
        from audio_pipeline.view.tap_picture import draw

        try:
            draw(np.array(self.columns), self._spectrogram, path, title)
        except OSError as error:
            raise ControlError(f"picture {path} cannot be written: {error.strerror}") from error
        return path


class Level:
    """Peak and RMS by channel since the last look."""

    def __init__(self) -> None:
        self._peak = self._squares = np.zeros(0)
        self._samples = 0

    def add(self, x: Array) -> None:
        if len(self._peak) != x.shape[1]:
            self._peak, self._squares, self._samples = np.zeros(x.shape[1]), np.zeros(x.shape[1]), 0
        if len(x):
            self._peak = np.maximum(self._peak, np.abs(x).max(axis=0))
            self._squares = self._squares + np.square(x, dtype=np.float64).sum(axis=0)
            self._samples += len(x)

    def take(self) -> list[tuple[float, float]]:
        """[(peak, RMS)] in dBFS by channel; begins anew."""
        rms = np.sqrt(self._squares / max(self._samples, 1))
        found = [(_db(peak), _db(value)) for peak, value in zip(self._peak, rms, strict=True)]
        self._peak, self._squares, self._samples = np.zeros(len(rms)), np.zeros(len(rms)), 0
        return found


def _db(amplitude: float) -> float:
    return 20 * float(np.log10(amplitude)) if amplitude > 1e-6 else SILENCE_DB


def write_event(frame: Frame, out: TextIO) -> None:
    """An event as a JSON line."""
    if frame.event is not None:
        write_json_line(plain(frame.event), out)
