"""Sound files of any common kind, opened by their content."""

from __future__ import annotations

from pathlib import Path

from audio_pipeline.dsp import limits
from audio_pipeline.errors import MediaError
from audio_pipeline.files.media_reader import MediaReader, reason


def open_media(path: str | Path, track: int = 1) -> MediaReader:
    """Open a sound file by its content, whatever its name; MediaError with the path and the reason if not.

    FFmpeg reads what it can, libsndfile what is left. `track` counts the audio tracks of a film from 1.
    """
    from audio_pipeline.files.media_open import opened

    try:
        reader = opened(Path(path), track)
    except (OSError, MemoryError) as e:
        raise MediaError(f"{path}: cannot be read ({reason(e)})") from e
    try:
        limits.check_format(reader.path, reader.rate, reader.channels)
    except MediaError:
        reader.close()
        raise
    return reader
