"""Starts the media process: `python -m audio_pipeline.service.media.main FOLDER`, the private folder of a service."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from audio_pipeline import terminal
from audio_pipeline.errors import PipelineError
from audio_pipeline.host.limits import allow_files
from audio_pipeline.service.media.admission import MOST
from audio_pipeline.service.media.server import Media

USAGE = "usage: python -m audio_pipeline.service.media.main FOLDER"


def main(arguments: Sequence[str]) -> int:
    """Serves until SIGTERM or SIGINT; exit code 2 where the folder cannot be used."""
    if len(arguments) != 1:
        terminal.warn(USAGE)
        return 2
    folder = Path(arguments[0])
    try:
        allow_files(MOST)
        media = Media(folder)
    except (OSError, PipelineError) as error:
        terminal.warn(f"media: cannot serve in {folder}: {error}")
        return 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: media.stop())
    media.run()
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
