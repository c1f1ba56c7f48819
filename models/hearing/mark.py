"""Whether sound carries the Perth mark, and where: a verdict over a whole file at a stated rate of false alarms.

The mark raises or lowers each of 128 bins by 1.8 dB, always in the same pattern. Perth's own decoder finds the frames
in which it may be, in speech, noise and music; but it also finds it in frames of some songs, for seconds. So a second
witness looks at those frames: their mean fine structure, projected onto the pattern by a linear filter that was fitted
to sound without a mark (`mark_filter.py`). Without a mark the projection is close to a normal distribution, whatever is
heard; its tail is heavier, so the means below are higher than the measured ones.

Windows of one second up to the whole file are tested, four to each of their lengths. The whole file gets a quarter of
the allowed rate of false alarms, all other windows share the rest: so the threshold rises with the length, and a long
file raises no more alarms than a short one. docs/models/perth.md says what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from audio_pipeline.dsp.channels import to_channels
from audio_pipeline.dsp.resample import StreamResampler
from audio_pipeline.models.hearing.mark_filter import FIRST, MEAN, WEIGHTS
from audio_pipeline.models.hearing.perth import BINS, HOP, RATE, SPAN_DB, Perth, analyse, seen_in

Array = np.ndarray[Any, np.dtype[np.float32]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Wide = np.ndarray[Any, np.dtype[np.float64]]

ALARMS = 1e-4  # false alarms a file, of any length
WHOLE = 0.25  # of that, for the whole file as one window
WINDOWS = (2, 4, 6, 8, 12, 16, 24, 32, 64, 128)  # half seconds
ROW_S = 0.5
ROW = round(ROW_S * RATE / HOP)  # frames
CHUNK, MARGIN = 2 * RATE, RATE // 5  # looked at at once, and what is seen around it
RMS, SILENT = 0.16, 1e-6  # of a chunk
NEAR, MOST_DB = 8, 8.0  # bins around, whose mean is taken away, and what is left at most
STRIKING = 2.5  # dB
COUNT = len(WEIGHTS)
OPINION = (4.5, 8.0)  # of the decoder on a frame: marked ones lie around 6.1
LEAST_AUDIBLE = 0.6  # of a window that must be sound
LEAST_FRAMES = 20  # in which the decoder hears a mark, for the projection to mean anything
TIERS = (  # the decoder's share; how often a window without a mark has it; half seconds, mean and deviation there
    (0.7, 0.015, ((1 << 30, 1.5, 0.85),)),
    (0.3, 0.03, ((2, 1.35, 1.1), (6, 1.45, 0.95), (1 << 30, 1.65, 0.8))),
    (0.0, 0.2, ((1 << 30, 1.9, 1.25),)),
)
SUSPECTED = 0.25  # share of the frames of half a second from which on it may be marked
SHOWN = 1e-3  # rate of false alarms of a window at which it is shown, once the file is marked


@dataclass(frozen=True)
class Verdict:
    """`parts` are (start, end) in seconds: where the mark was found; `rows` says so of every half second."""

    marked: bool
    parts: tuple[tuple[float, float], ...]
    seconds: float
    rows: Flags


class MarkSeeker:
    """Takes sound in pieces of any size and gives a verdict at the end; an hour takes 16 MB a channel.

    Stereo is looked at three times: its mean and each side, so that neither opposite phase nor a voice on one side
    hides a mark. Sides that are one are looked at once.
    """

    def __init__(self, perth: Perth, rate: int, channels: int) -> None:
        self._perth, self._rate = perth, rate
        self._sides = 1 if channels == 1 else 2
        self._resampler = StreamResampler(rate, RATE, self._sides)
        self._held = np.zeros((0, self._sides), np.float32)
        self._before = 0  # samples of `_held` that were looked at
        self._rows: list[list[Wide]] = [[] for _ in range(1 if self._sides == 1 else 3)]
        self._differ = False
        self._samples = 0

    def push(self, x: Array) -> None:
        """The next samples (n, channels)."""
        self._samples += len(x)
        self._held = np.concatenate([self._held, self._resampler.process(to_channels(x, self._sides))])
        while len(self._held) >= self._before + CHUNK + MARGIN:
            self._measure(self._held[: self._before + CHUNK + MARGIN], CHUNK)
            drop = self._before + CHUNK - MARGIN
            self._held, self._before = self._held[drop:], MARGIN

    def finish(self) -> Verdict:
        """The sound has ended."""
        return judged(self.tracks(), self._samples / self._rate)

    def tracks(self) -> list[Wide]:
        """The sound has ended: what was seen of each half second, for the mean and, where they differ, each side."""
        self._held = np.concatenate([self._held, self._resampler.flush()])
        rest = len(self._held) - self._before
        if rest > 0:
            self._measure(self._held, rest)
        return [np.concatenate(rows) for rows in self._rows[: None if self._differ else 1] if rows]

    def _measure(self, part: Array, samples: int) -> None:
        if self._sides == 1 or not np.any(part[:, 0] != part[:, 1]):
            same = _chunk(self._perth, part[:, 0], self._before, samples)
            for rows in self._rows:
                rows.append(same)
            return
        self._differ = True
        for rows, x in zip(self._rows, (part.mean(axis=1), part[:, 0], part[:, 1]), strict=True):
            rows.append(_chunk(self._perth, x, self._before, samples))


def sought(perth: Perth, x: Array, rate: int) -> Verdict:
    """The verdict on a whole sound (samples, channels)."""
    seeker = MarkSeeker(perth, rate, x.shape[1])
    seeker.push(x)
    return seeker.finish()


def _chunk(perth: Perth, x: Array, start: int, samples: int) -> Wide:
    """A row for each half second of x[start : start + samples]: frames, those in which the decoder hears the mark,
    and the sums of the fine structure of these and of all (2 + 2 * bins,)."""
    frames = -(-samples // HOP)
    level = float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
    per_frame = np.zeros((frames, 2 + 2 * COUNT))
    if level > SILENT:
        seen = seen_in(analyse((x * np.float32(RMS / level)).astype(np.float32)))[:, start // HOP :][:, :frames]
        audible = perth.opinions(seen[:BINS])
        count = seen.shape[1]
        per_frame[:count, 0] = 1
        per_frame[:count, 1] = (audible > OPINION[0]) & (audible < OPINION[1])
        per_frame[:count, 2 + COUNT :] = _fine(seen).T
        per_frame[:, 2 : 2 + COUNT] = per_frame[:, 2 + COUNT :] * per_frame[:, 1:2]
    return np.add.reduceat(per_frame, np.arange(0, frames, ROW), axis=0)


def _fine(seen: Array) -> Array:
    """What of each bin stands out of the mean of its neighbours, in dB (bins of the filter, frames)."""
    db = seen[: BINS + NEAR + 1] * SPAN_DB
    around = np.pad(db, ((NEAR + 1, NEAR), (0, 0)), mode="edge")
    sums = np.cumsum(around, axis=0, dtype=np.float64)
    mean = (sums[2 * NEAR + 1 :] - sums[: -2 * NEAR - 1]) / (2 * NEAR + 1)
    return np.asarray(np.clip(db - mean, -MOST_DB, MOST_DB), np.float32)[FIRST : FIRST + COUNT]


def projections(rows: Wide, window: int) -> tuple[Wide, Wide, Flags]:
    """For each window of so many rows: the projection onto the pattern of the frames in which the decoder hears the
    mark (-inf where they are few), their share, and whether there is enough sound in the window."""
    total = np.concatenate([np.zeros((1, 2 + COUNT)), np.cumsum(rows[:, : 2 + COUNT], axis=0)])
    sums = total[window:] - total[:-window]
    value = standing_out(sums[:, 2:], sums[:, 1]) @ np.asarray(WEIGHTS) - MEAN
    value[sums[:, 1] < LEAST_FRAMES] = -np.inf
    return value, sums[:, 1] / np.maximum(sums[:, 0], 1), sums[:, 0] >= LEAST_AUDIBLE * window * ROW


def standing_out(sums: Wide, frames: Wide) -> Wide:
    """The fine structure of windows as the filter takes it, from sums over frames: bounded, and of one length."""
    fine = np.clip(sums / np.maximum(frames, 1)[:, None], -STRIKING, STRIKING)
    return np.asarray(fine / np.sqrt(np.mean(np.square(fine), axis=1, keepdims=True) + 1e-6))


def thresholds(window: int, alarms: float) -> list[float]:
    """From where on the projection of a window is a mark at this rate of false alarms, for each tier, a third each."""
    found = []
    for _, often, by_length in TIERS:
        mean, spread = next((mean, spread) for most, mean, spread in by_length if window <= most)
        found.append(NormalDist(mean, spread).inv_cdf(1 - min(alarms / len(TIERS) / often, 0.5)))
    return found


def _found(rows: Wide, window: int, alarms: float) -> Flags:
    """Which windows of a track carry the mark."""
    value, share, audible = projections(rows, window)
    tiers = [share >= least for least, _, _ in TIERS]
    return np.asarray(audible & (value >= np.select(tiers, thresholds(window, alarms), np.inf)))


def judged(tracks: list[Wide], seconds: float) -> Verdict:
    """The verdict on tracks of rows (half seconds, 2 + bins)."""
    count = len(tracks[0]) if tracks else 0
    sizes = [size for size in WINDOWS if size < count]
    tests = sum(-(-(len(rows) - size + 1) // _step(size)) for rows in tracks for size in sizes)
    whole = ALARMS * (WHOLE if tests else 1)
    certain = [(size, _spans(rows, size, (ALARMS - whole) / tests)) for rows in tracks for size in sizes]
    certain += [(count, _spans(rows, count, whole / len(tracks))) for rows in tracks if count]
    spans = sorted({(start, start + size) for size, starts in certain for start in starts}, key=lambda s: s[1] - s[0])
    shown = np.zeros(count, bool)
    if spans:
        for start, end in _shown(tracks, spans):
            shown[start:end] = True
        if np.any(shown & _suspected(tracks)):
            shown &= _suspected(tracks)
    return Verdict(bool(spans), tuple(_parts(shown, seconds)), seconds, shown)


def _step(window: int) -> int:
    return max(window // 4, 1)


def _spans(rows: Wide, window: int, alarms: float) -> list[int]:
    """Where windows begin that carry the mark."""
    step = _step(window)
    return [int(at) * step for at in np.flatnonzero(_found(rows, window, alarms)[::step])]


def _shown(tracks: list[Wide], spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The shortest window that is certain, and every short one that would be a mark if it were a file of its own."""
    yield spans[0]
    for rows in tracks:
        for size in (size for size in WINDOWS[:4] if size <= len(rows)):
            yield from ((start, start + size) for start in _spans(rows, size, SHOWN))


def _suspected(tracks: list[Wide]) -> Flags:
    """The half seconds in which the decoder hears the mark, and their neighbours: a window may reach far beyond it."""
    found = np.any([(rows[:, 1] >= SUSPECTED * rows[:, 0]) & (rows[:, 0] > 0) for rows in tracks], axis=0)
    around = np.pad(found, 1)
    return np.asarray(around[:-2] | around[1:-1] | around[2:])


def _parts(shown: Flags, seconds: float) -> Iterator[tuple[float, float]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], shown, [False]]).astype(int)))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        yield float(start * ROW_S), min(float(end * ROW_S), seconds)
