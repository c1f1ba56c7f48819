"""The card of an enrolled voice as a picture: its sample, where its likeness lies, and both pitches."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.home import without_cache
from audio_pipeline.models.voices.record import Record
from audio_pipeline.report.voice_card import likeness_text, sample_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = NDArray[np.float32]

COLOUR_MAP = "magma"  # as in reports
INCHES, DPI, COLOURS = (9.6, 7.0), 130, 128
WINDOW_S, RANGE_DB, TOP_HZ = 0.03, 65.0, 12_000.0
PRE_EMPHASIS = 0.95
INK, SOFT, ACCENT, OTHER, PAUSE = "#1d2126", "#646b75", "#2c68b8", "#c2571a", "#d9d6d0"
FROM, TO = 0.4, 1.0  # of the likeness axis
BANDS = ((0.4, 0.6, "different"), (0.6, 0.75, "alike in kind"), (0.75, 0.85, "recognisable"), (0.85, 1.0, "one person"))
SHADES = ("#f4f2ee", "#e8eef6", "#d3e1f2", "#bcd2ec")
LEAST_LABEL = 0.06  # of the whole: what a stretch must last to be named


def card_picture(record: Record, sample: tuple[Array, int] | None) -> bytes:
    """A PNG; `sample` is the mono sound and its rate, where it was kept."""
    without_cache("matplotlib")
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(INCHES, layout="constrained", facecolor="white")
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.15, 1), hspace=0.04)
    upper, lower = parts
    _sample(upper, record, sample)
    left, right = lower.subplots(1, 2, width_ratios=(1.35, 1))
    _likeness(left, record)
    _pitch(right, record)
    known = record.likeness
    figure.suptitle(
        f"{record.name}: likeness {known.voice:.2f}, {likeness_text(record)}",
        x=0.012,
        ha="left",
        fontsize=14,
        color=INK,
        parse_math=False,
    )
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(small, "PNG", optimize=True)
    return small.getvalue()


def _sample(part: Any, record: Record, sample: tuple[Array, int] | None) -> None:
    if sample is None:
        part.text(0.5, 0.5, "the sample was not kept", ha="center", color=SOFT)
        return
    strip, image = part.subplots(2, 1, height_ratios=(1, 9), sharex=True)
    _strip(strip, *sample)
    _spectrogram(image, *sample)
    strip.set_title(f"Sample: {sample_text(record.sample)}", loc="left", fontsize=11, color=INK)


def _strip(axes: Axes, x: Array, rate: int) -> None:
    """The stretches of speech."""
    from audio_pipeline.models.hearing import speech

    low = speech.raised(_at(x, rate, speech.RATE))
    spoken = speech.speech_windows(low)
    edges = np.flatnonzero(np.diff(spoken.astype(int), prepend=-1, append=-1))
    whole_s = len(x) / rate
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        start, stop = (min(index * speech.WINDOW / speech.RATE, whole_s) for index in (first, last))
        label = "speech" if spoken[first] else "pause"
        axes.axvspan(start, stop, color=ACCENT if spoken[first] else PAUSE, lw=0)
        if stop - start > LEAST_LABEL * whole_s:
            axes.text(
                (start + stop) / 2,
                0.5,
                label,
                ha="center",
                va="center",
                fontsize=8,
                color="white" if spoken[first] else SOFT,
            )
    axes.set(yticks=[], ylim=(0, 1), xlim=(0, whole_s))
    axes.tick_params(bottom=False, labelbottom=False)
    _frameless(axes)


def _spectrogram(axes: Axes, x: Array, rate: int) -> None:
    size = round(WINDOW_S * rate)
    hop = max((len(x) - size) // 1200, 1)
    lifted = np.append(x[:1], x[1:] - PRE_EMPHASIS * x[:-1])  # so that consonants are seen beside vowels
    rows = np.lib.stride_tricks.sliding_window_view(np.pad(lifted, (0, max(size - len(x), 0))), size)[::hop]
    power = np.abs(np.fft.rfft(rows * np.hanning(size).astype(np.float32), axis=1)) ** 2
    bands_db = 10 * np.log10(power.T + 1e-12)
    top_db = float(bands_db.max())
    axes.imshow(
        bands_db,
        origin="lower",
        aspect="auto",
        cmap=COLOUR_MAP,
        vmin=top_db - RANGE_DB,
        vmax=top_db,
        extent=(0, len(x) / rate, 0, rate / 2000),
        interpolation="bilinear",
    )
    axes.set_ylim(0, min(rate / 2, TOP_HZ) / 1000)
    axes.set_xlabel("seconds", fontsize=9, color=SOFT)
    axes.set_ylabel("kHz", fontsize=9, color=SOFT)
    _quiet(axes)


def _likeness(axes: Axes, record: Record) -> None:
    known = record.likeness
    for (low, high, label), shade in zip(BANDS, SHADES, strict=True):
        axes.axvspan(low, high, color=shade, lw=0)
        axes.text((low + high) / 2, 0.03, label, ha="center", fontsize=8, color=SOFT)
    rows = [
        ("this voice", known.voice, ACCENT, 0.78),
        (f"nearest stock voice, {known.nearest_voice}", known.nearest, OTHER, 0.5),
    ]
    if known.ceiling is not None:
        rows.append(("ceiling: the sample's two halves", known.ceiling, INK, 0.22))
    for label, value, colour, height in rows:
        axes.hlines(height, FROM, value, color=colour, lw=1, alpha=0.35)
        axes.plot([value], [height], "o", color=colour, ms=9)
        axes.text(FROM + 0.008, height + 0.05, label, fontsize=9, color=colour, parse_math=False)
        axes.text(value + 0.014, height, f"{value:.2f}", fontsize=10, va="center", color=colour)
    axes.set(xlim=(FROM, TO), ylim=(0, 1), yticks=[])
    axes.set_title("Likeness to the speaker (GE2E, on unseen text)", loc="left", fontsize=11, color=INK)
    _quiet(axes)


def _pitch(axes: Axes, record: Record) -> None:
    from matplotlib.ticker import MaxNLocator

    from audio_pipeline.models.voices.traits import edges_hz

    edges = edges_hz()
    for counts, label, colour in (
        (record.speaker.pitch_counts, f"sample, {record.speaker.pitch_hz:.0f} Hz", ACCENT),
        (record.voice.pitch_counts, f"voice, {record.voice.pitch_hz:.0f} Hz", OTHER),
    ):
        share = np.asarray(counts, np.float64) / max(sum(counts), 1) * 100
        axes.stairs(share, edges[: len(share) + 1], fill=True, color=colour, alpha=0.25)
        axes.stairs(share, edges[: len(share) + 1], color=colour, label=label)
    axes.set_xscale("log")
    ticks = [50, 75, 100, 150, 200, 300, 400]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(50, 500)
    axes.set_ylim(0)
    axes.set_xlabel("Hz", fontsize=9, color=SOFT)
    axes.set_ylabel("% of the voiced time", fontsize=9, color=SOFT)
    axes.set_title("Pitch", loc="left", fontsize=11, color=INK)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    _quiet(axes)


def _quiet(axes: Axes) -> None:
    axes.tick_params(colors=SOFT, labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(PAUSE)


def _frameless(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set_visible(False)


def _at(x: Array, rate: int, wanted: int) -> Array:
    from audio_pipeline.dsp.resample import resampled

    found: Array = resampled(x[:, None], rate, wanted)[:, 0]
    return found
