"""Which reader takes a file: FFmpeg, link by link where Ogg is chained; else libsndfile; else FFmpeg behind junk."""

from __future__ import annotations

from pathlib import Path

from audio_pipeline.io.media import MediaReader
from audio_pipeline.io.media_av import AvReader
from audio_pipeline.io.media_chain import ChainReader
from audio_pipeline.io.media_file import NotReadError, behind_junk
from audio_pipeline.io.media_ogg import links_of


def opened(path: Path, track: int) -> MediaReader:
    """The first reader that makes sound of it; the first one's error where none does."""
    try:
        links = links_of(path)
        return ChainReader(path, links, track) if len(links) > 1 else AvReader(path, track)
    except NotReadError as error:
        found = _otherwise(path, track)
        if found is None:
            raise error
        return found


def _otherwise(path: Path, track: int) -> MediaReader | None:
    from audio_pipeline.io.media_snd import SoundFileReader

    try:
        return SoundFileReader(path)
    except NotReadError:
        pass
    for start in behind_junk(path):
        try:
            return AvReader(path, track, start)
        except NotReadError:
            continue
    return None
