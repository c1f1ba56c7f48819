"""By which engine this host separates, and what was measured for that."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from audio_pipeline.doctor.finding import Finding
from audio_pipeline.models.separation.catalogue import SPECS
from audio_pipeline.models.separation.engines import Wish, choose, installed, known, line


def separation() -> Iterator[Finding]:
    """The figures of each network that was measured here, and whether OpenVINO is there to be measured."""
    if not installed("openvino"):
        detail = "not installed; with it a CPU that has bf16 separates at half the cost"
        yield Finding("could", "OpenVINO", detail, f"{sys.executable} -m pip install openvino")
    measured = {name: figures for name in SPECS if (figures := known(name).recall())}
    for name, figures in measured.items():
        best = choose(figures, [figure.way for figure in figures])
        yield Finding("ok", "separation", f"{name}: {line(figures, best, Wish())}")
    if not measured and installed("openvino"):
        yield Finding("ok", "separation", "not measured yet: the first separator does that, in two seconds")
