"""Command `doctor`: what this host has and lacks."""

from __future__ import annotations

import argparse

from audio_pipeline.doctor.checks import findings, lines
from audio_pipeline.terminal import write


def doctor(args: argparse.Namespace) -> int:
    """Prints every finding; 1 where something that all pipelines need is missing."""
    found = list(findings())
    write(*lines(found))
    return int(any(finding.level == "lacks" for finding in found))
