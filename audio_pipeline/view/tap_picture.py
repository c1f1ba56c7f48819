"""A spectrogram as a PNG with axes, drawn without a screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from audio_pipeline.home import without_cache

if TYPE_CHECKING:
    from audio_pipeline.dsp.spectrogram import LogSpectrogram

RANGE_DB = 90.0
TICKS_HZ = (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000)


def draw(columns: NDArray[np.float32], spectrogram: LogSpectrogram, path: Path, title: str) -> None:
    """`columns` (n, bands) in dB as a picture of 1200 x 600; raises OSError where it cannot be written."""
    without_cache("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    seconds = np.arange(len(columns) + 1) * spectrogram.hop / spectrogram.rate
    top = max(float(columns.max()), -60.0)
    mesh = axes.pcolormesh(
        seconds, spectrogram.edges_hz, columns.T, cmap="magma", vmin=top - RANGE_DB, vmax=top, rasterized=True
    )
    axes.set_yscale("log")
    shown = [hz for hz in TICKS_HZ if spectrogram.edges_hz[0] <= hz <= spectrogram.edges_hz[-1]]
    axes.set_yticks(shown, [f"{hz / 1000:g} k" if hz >= 1000 else f"{hz}" for hz in shown])
    axes.set_yticks([], minor=True)
    axes.set(xlabel="s", ylabel="Hz", title=title)
    figure.colorbar(mesh, ax=axes, label="dB re a full-scale sine", pad=0.01)
    figure.savefig(path, format="png")
