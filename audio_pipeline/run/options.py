"""How a graph is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True)
class Options:
    """How a graph is run."""

    offline: bool = False  # as fast as it goes, without loss
    duration_s: float | None = None  # of sound, then it ends; None: until the sources end or `stop`
    folder: str | Path | None = None  # of recordings and report; None: takes/NAME-TIME below the working directory
    at: Sequence[str] = ()  # `5s:mix.gain_db=-60`: live values, set at that position
    metrics: str = ""  # `[HOST:]PORT` for Prometheus; empty: the file's own `metrics`
    log: str | Path | TextIO | None = None  # every event, as a line
    log_format: str | None = None  # text or json; None: by the file's suffix
    report: bool = True  # write report.html at the end


DEFAULTS = Options()
