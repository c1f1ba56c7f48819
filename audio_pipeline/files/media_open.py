"""Which reader takes a file: FFmpeg, link by link where Ogg is chained; else libsndfile; else FFmpeg behind junk."""

from __future__ import annotations

from pathlib import Path

from audio_pipeline.files.media_av import AvReader
from audio_pipeline.files.media_chain import ChainReader
from audio_pipeline.files.media_file import NotReadError, behind_junk
from audio_pipeline.files.media_ogg import survey
from audio_pipeline.files.media_reader import MediaReader


def opened(path: Path, track: int) -> MediaReader:
    """The first reader that makes sound of it; the first one's error where none does."""
    try:
        return _by_ffmpeg(path, track)
    except NotReadError as error:
        found = _otherwise(path, track)
        if found is None:
            raise error
        return found


def _by_ffmpeg(path: Path, track: int) -> MediaReader:
    ogg = survey(path)
    reader = ChainReader(path, ogg, track) if len(ogg.links) > 1 else AvReader(path, track, patches=ogg.patches)
    reader.faults.pages, reader.faults.is_cut = ogg.damaged, bool(ogg.links) and ogg.is_cut
    return reader


def _otherwise(path: Path, track: int) -> MediaReader | None:
    from audio_pipeline.files.media_snd import SoundFileReader

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
