"""What the container of a sound file tells about its time line, and how far that is to be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audio_pipeline.files.media_file import FilePart
from audio_pipeline.files.media_riff import declared_share

TOLERANCE_S = 0.008  # of stamps that are rounded to milliseconds, and of decoders that give a frame late
VORBIS_TOLERANCE_S = 0.06  # FFmpeg's stamps of Vorbis packets are off by half a block where block sizes change
SLACK_S = 1.0
_FROM_ZERO = {"mov", "matroska"}  # zero is the start of the film; elsewhere it is wherever the first stamp lies
_NEAR_ZERO = {"ogg", "flv", "asf", "nut", "avi"}  # the same, unless they were cut out of something longer
MOST_START_S = 10.0
_DECLARED = {"mov", "flac", "wav", "w64", "aiff", "au", "caf", "tta", "ogg", "mp3"}  # a length to the sample
_JUMPS = {"mov", "flac", "wav", "w64", "aiff", "au"}
_HEADED = {"matroska", "webm", "avi", "asf", "flv"}
_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC
_GAPLESS = {"flac", "mp3", "aac", "wav", "tta", "wv", "ape"}
_SKIPS = {"mp3", "aac"}


@dataclass(frozen=True)
class Facts:
    """Times are in seconds as the stamps have them."""

    zero_s: float  # the stamp of the file's start
    end_s: float | None  # no gap reaches beyond this, counted from the start
    tolerance_s: float
    rounding_s: float  # how far stamps may be off by being rounded; 0 where they count samples
    length_s: float | None  # of the sound, to the sample
    header_s: float | None  # roughly
    share: float  # how many times longer than its file the header says that it is
    jumps: bool  # whether it can be entered at a stamp
    has_gaps: bool  # whether sound may pause in it; elsewhere a gap is damage
    skips: bool  # whether getting there means going through all packets

    def samples(self, rate: int) -> int | None:
        """The declared length, where it is to be trusted."""
        return round(self.length_s * rate) if self.length_s is not None and self.length_s > 0 else None


def facts_of(container: Any, stream: Any, part: FilePart) -> Facts:
    """Reads them off an open container."""
    names = set(container.format.name.split(","))
    exact = bool(stream.time_base * stream.rate <= 1)
    codec = stream.codec_context.name
    skips = bool(names & _SKIPS)
    return Facts(
        zero_s=_zero_s(container, stream, names),
        end_s=container.duration / 1e6 + SLACK_S if container.duration else None,
        tolerance_s=VORBIS_TOLERANCE_S if codec == "vorbis" else TOLERANCE_S,
        rounding_s=0.0 if exact else 1.5 * float(stream.time_base),
        length_s=_length_s(stream, names, codec, part) if exact else None,
        jumps=skips or bool(exact and names & _JUMPS),
        header_s=_header_s(container, names),
        share=declared_share(part),
        has_gaps=not names & _GAPLESS,
        skips=skips,
    )


def _header_s(container: Any, names: set[str]) -> float | None:
    """What the header of a container says, where that is about nothing but its sound."""
    has_film = any(not stream.disposition & _PICTURE for stream in container.streams.video)
    return container.duration / 1e6 if container.duration and names & _HEADED and not has_film else None


def _zero_s(container: Any, stream: Any, names: set[str]) -> float:
    if names & _FROM_ZERO or container.start_time is None:
        return 0.0
    start_s = container.start_time / 1e6
    if names & _NEAR_ZERO and start_s <= MOST_START_S:
        return 0.0
    if stream.start_time is not None and abs(float(stream.start_time * stream.time_base) - start_s) < 1e-5:
        return float(stream.start_time * stream.time_base)  # the same, unrounded
    return float(start_s)


def _length_s(stream: Any, names: set[str], codec: str, part: FilePart) -> float | None:
    if not stream.duration or not names & _DECLARED or ("mp3" in names and not xing_counts(part)):
        return None
    length = stream.duration * stream.time_base
    if "mov" in names and stream.start_time:
        length += stream.start_time * stream.time_base
    if "ogg" in names and stream.start_time and stream.start_time * stream.time_base > MOST_START_S:
        length -= stream.start_time * stream.time_base
    if codec == "opus" and "ogg" in names:
        length -= _pre_skip(stream) * stream.time_base
    return float(length)


def _pre_skip(stream: Any) -> int:
    """Samples at 48 kHz ahead of the sound: RFC 7845 section 5.1."""
    head = bytes(stream.codec_context.extradata or b"")
    return int.from_bytes(head[10:12], "little") if head[:8] == b"OpusHead" else 0


def xing_counts(part: FilePart) -> bool:
    """Whether the first frame of an MP3, behind its ID3v2 tag, tells the length, and of the whole file."""
    tag = part.peek(0, 10)
    is_tag = tag[:3] == b"ID3"  # its size is four times seven bits, ID3v2.4 section 3.1
    at = 10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(tag[6:10])) if is_tag else 0
    head = part.peek(at, 4096)
    mark = max(head.find(b"Xing"), head.find(b"Info"))
    if mark < 0 or len(head) < mark + 16 or head[mark + 7] & 3 != 3:
        return False
    end = at + head.find(b"\xff") + int.from_bytes(head[mark + 12 : mark + 16], "big")
    return not _is_sync(part.peek(end, 2))


def _is_sync(data: bytes) -> bool:
    return len(data) == 2 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0
