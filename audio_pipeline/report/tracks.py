"""Tracks in `report.html`: waveform, spectrogram and player of every file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from audio_pipeline.report.page import MINUS, number
from audio_pipeline.report.sound import (
    RANGE_DB,
    Picture,
    colour_stops,
    mel_share,
    outline,
    png,
    time_ticks,
    top_hz,
)
from audio_pipeline.view.text import clock_text

MOST_NAMED = 200  # without a picture
FREQUENCIES_HZ = (500, 1000, 2000, 4000, 8000, 16_000)


def decibel_text(value_db: float) -> str:
    """A level with one decimal and a true minus sign."""
    return (
        f"{round(value_db, 1) + 0.0:.1f}".replace("-", MINUS) if math.isfinite(value_db) else number(value_db)
    ) + " dBFS"


def tracks(pictures: Mapping[str, Picture], failures: Sequence[str], others: Sequence[str] = ()) -> str:
    """Waveform, spectrogram and player of every file, and links to the others; names are those of the files beside the
    page."""
    notes = "".join(f'<p class="warn">{escape(sentence)}</p>' for sentence in failures) + _named(others)
    if not pictures:
        return notes
    top_db = max(float(picture.bands_db.max()) for picture in pictures.values())
    scale = (
        f'<div class="scale soft"><span>{MINUS}{RANGE_DB:.0f} dB</span>'
        f'<i style="background:linear-gradient(90deg,{colour_stops()})"></i>'
        f"<span>0 dB = the loudest point of all tracks</span></div>"
    )
    return "".join(_track(name, picture, top_db) for name, picture in pictures.items()) + notes + scale


def _named(names: Sequence[str]) -> str:
    """Files without a picture: the first as links, the rest as a number."""
    if not names:
        return ""
    links = ", ".join(f'<a href="{_address(name)}">{escape(name)}</a>' for name in names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f'<p class="soft">{len(names)} recordings without a picture: {links}{more}</p>'


def _address(name: str) -> str:
    """Of a file beside the page: of any bytes, and nothing in its name is a scheme, a query or a fragment."""
    return quote(name, errors="surrogateescape")


def _track(name: str, picture: Picture, top_db: float) -> str:
    stem = escape(name.rpartition(".")[0])
    channels = {1: "mono", 2: "stereo"}.get(picture.channels, f"{picture.channels} channels")
    about = (
        f"{clock_text(picture.seconds)} · {channels} · {picture.rate / 1000:g} kHz · peak "
        f"{decibel_text(picture.peak_db)} · RMS {decibel_text(picture.rms_db)}"
    )
    ticks = "".join(
        f'<span style="left:{100 * at / picture.seconds:.2f}%">{number(at)}</span>'
        for at in time_ticks(picture.seconds)
        if at <= 0.94 * picture.seconds
    )
    return (
        f'<article class="card track"><header><h3>{stem}</h3><p class="soft">{about}</p>'
        f'<audio controls preload="none" src="{_address(name)}"></audio></header>'
        f'<div class="plots" data-seconds="{picture.seconds:.3f}">'
        f"{_wave(picture)}{_spectrum(stem, picture, top_db)}"
        f'<div class="x">{ticks}<span class="name">time, s</span></div>'
        f'<div class="playhead"></div></div></article>'
    )


def _wave(picture: Picture) -> str:
    columns = len(picture.low)
    labels = "".join(f'<span class="y" style="bottom:{50 * (1 + y)}%">{number(y)}</span>' for y in (-1, 0, 1))
    return (
        f'<div class="plot wave"><div class="axis"><span>amplitude</span></div>{labels}'
        f'<svg viewBox="0 -1 {columns} 2" preserveAspectRatio="none" role="img" aria-label="waveform">'
        f'<path class="peak" d="{outline(picture.high, picture.low)}"/>'
        f'<path class="rms" d="{outline(picture.rms, -picture.rms)}"/>'
        f'<line class="zero" x1="0" x2="{columns}" y1="0" y2="0"/></svg></div>'
    )


def _spectrum(stem: str, picture: Picture, top_db: float) -> str:
    shown = [hz for hz in FREQUENCIES_HZ if hz < top_hz(picture.rate)]
    labels = "".join(
        f'<span class="y" style="bottom:{100 * mel_share(hz, picture.rate):.1f}%">{hz / 1000:g}</span>' for hz in shown
    )
    return (
        f'<div class="plot spectrum"><div class="axis"><span>frequency, kHz</span></div>{labels}'
        f'<img alt="mel spectrogram of {stem}" src="{png(picture.bands_db, top_db)}"></div>'
    )
