"""Half precision where it agrees with full precision on this very device, and a sentence where it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from audio_pipeline.models.separation.spleeter_layout import Array
from audio_pipeline.models.separation.spleeter_probe import WANTED, probe

PARITY_DB = 50.0  # the network, shown the same sound two frames later, agrees with itself to 24 dB
FLOOR_DB = 30.0  # of the worst excerpt: the sound of a voice that is hardly there is mostly rounding in any precision


class Engine(Protocol):
    """The networks of all stems on one device."""

    def masks(self, magnitudes: Array, wanted: range) -> Array:
        """Masks (batch, stems, wanted, bins, channels) for magnitudes (batch, frames, bins, channels)."""


def agreement_db(reference: Array, found: Array, magnitudes: Array, wanted: range) -> float:
    """Power of the masked magnitudes over that of their difference; minus infinity where `found` is not finite."""
    shown = magnitudes[:, None, wanted.start : wanted.stop].astype(np.float64)
    error = float(np.sum(((reference.astype(np.float64) - found) * shown) ** 2))
    if not np.isfinite(error):
        return -np.inf
    return float(10 * np.log10(np.sum((reference * shown) ** 2) / max(error, 1e-30)))


def agreement_over_excerpts_db(reference: Array, found: Array, magnitudes: Array, wanted: range) -> float:
    """The median of the excerpts (rows), which one odd excerpt does not move; the worst where that is below 30 dB."""
    by_excerpt = [
        agreement_db(reference[row], found[row], magnitudes[row], wanted)
        for row in (slice(i, i + 1) for i in range(len(magnitudes)))
    ]
    worst = min(by_excerpt)
    return worst if worst < FLOOR_DB else float(np.median(by_excerpt))


def settle(make: Callable[[str], Engine], precision: str) -> tuple[Engine, str]:
    """The engine in `precision` (`auto`: fp16) where it agrees with fp32 to 50 dB, else in fp32; a line for the log."""
    exact = make("fp32")
    if precision == "fp32":
        return exact, "computes in fp32"
    wanted = "fp16" if precision == "auto" else precision
    half, magnitudes = make(wanted), probe()
    reference, found = (engine.masks(magnitudes, WANTED) for engine in (exact, half))
    found_db = agreement_over_excerpts_db(reference, found, magnitudes, WANTED)
    if found_db >= PARITY_DB:
        return half, f"computes in {wanted}, which agrees with fp32 to {found_db:.0f} dB here"
    line = f"computes in fp32: {wanted} agrees with it to {found_db:.0f} dB only here, {PARITY_DB:.0f} dB are required"
    return exact, line
