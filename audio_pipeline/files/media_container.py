"""A file's container and the audio track in it that is wanted, opened by FFmpeg's libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from audio_pipeline.errors import MediaError
from audio_pipeline.files.media_file import FilePart, NotReadError
from audio_pipeline.files.media_reader import reason

# Files alone: playlists (HLS, concat) would make FFmpeg open whatever they name.
FORMATS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,ircam,loas,matroska,webm,mlp,mov,mp4,m4a,3gp,3g2,"
    "mj2,mp3,mpc,mpc8,mpeg,mpegts,nistsphere,nut,ogg,oma,qcp,shn,sox,tak,truehd,tta,voc,w64,wav,wv,xwma"
)
ERRORS = (av.error.FFmpegError, OSError, MemoryError, ValueError, IndexError)


def open_track(part: FilePart, path: Path, number: int) -> tuple[Any, Any]:
    """The container from its start, and the track. Raises MediaError, or the disk's own error."""
    part.seek(0)
    options = {"format_whitelist": FORMATS}
    try:
        container = av.open(part, options=options, metadata_errors="replace")
    except ERRORS as e:
        part.check()
        raise NotReadError(f"{path}: is not a sound file that can be read ({reason(e)})") from e
    try:
        track = _chosen(container, path, number)
    except BaseException:
        container.close()
        raise
    track.codec_context.options = {"err_detect": "crccheck+careful"}
    return container, track


def _chosen(container: Any, path: Path, number: int) -> Any:
    """The track that was asked for; of those that can be decoded it is the first where none was."""
    try:
        tracks = list(container.streams.audio)
    except IndexError as e:  # PyAV counts tracks that came up later
        raise NotReadError(f"{path}: is not a sound file that can be read ({reason(e)})") from e
    good = [track for track in tracks if _is_decodable(track)]
    if number == 1 and good:
        return good[0]
    if 1 < number <= len(tracks) and tracks[number - 1] in good:
        return tracks[number - 1]
    if not good:
        raise MediaError(f"{path}: has no sound in it that can be decoded")
    known = ", ".join(f"{at} ({_described(track)})" for at, track in enumerate(tracks, 1))
    raise MediaError(f"{path}: has no audio track {number} that can be decoded; its tracks are {known}")


def _is_decodable(track: Any) -> bool:
    context = track.codec_context
    return bool(context is not None and context.codec is not None and track.rate and context.layout.nb_channels)


def _described(track: Any) -> str:
    context = track.codec_context
    language = track.language or "no language given"
    return f"{language}, {context.name}, {context.layout.name}" if context is not None else f"{language}, no decoder"
